from kmipkit.spec.tags import Tag
SECRET_TAGS=frozenset({Tag.KEY_MATERIAL, Tag.PASSWORD, Tag.KEY})
