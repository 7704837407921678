"""What setup.cfg cannot say: the description for a package index.

It is the README, whose links lead nowhere there unless they are absolute.
"""

import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
FILES = "https://github.com/kmipkit/kmipkit/blob/main/"

setup(long_description=re.sub(r"(?<=\]\()(?!https?:|#)", FILES, README))
