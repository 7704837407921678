"""A pytest plugin: one module of the project is loaded with a mutation in its source.

``MUTANT`` in the environment is JSON: the module, the text that is replaced, and what replaces it. No
file changes, so mutants can run beside each other.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType


class MutatingLoader(importlib.machinery.SourceFileLoader):
    """Compiles the mutated source; never a cached one."""

    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self._old = old
        self._new = new

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        if source.count(self._old) != 1:
            raise ImportError(f"{fullname} does not contain the text to mutate once: {self._old!r}")
        return compile(source.replace(self._old, self._new), self.path, "exec")


class MutatingFinder(importlib.abc.MetaPathFinder):
    """Finds the one module."""

    def __init__(self, module: str, old: str, new: str) -> None:
        self._module = module
        self._old = old
        self._new = new

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert found is not None
        assert found.origin is not None
        loader = MutatingLoader(fullname, found.origin, self._old, self._new)
        return importlib.util.spec_from_file_location(
            fullname,
            found.origin,
            loader=loader,
            submodule_search_locations=found.submodule_search_locations,
        )


def install() -> None:
    """Prepend the finder; the module must not be loaded yet."""
    module, old, new = json.loads(os.environ["MUTANT"])
    assert module not in sys.modules
    sys.meta_path.insert(0, MutatingFinder(module, old, new))


install()
