"""The optional extension, and what wheels with and without it are named; the rest is in pyproject.toml."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

HERE = Path(__file__).resolve().parent
ARGUMENTS = ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
IS_LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")  # no limited API without the interpreter's lock


def extension() -> Extension:
    """The extension from all C files, which may fail to build."""
    sources, included = (
        sorted(str(path.relative_to(HERE)) for path in (HERE / "convcli" / "native").glob(pattern))
        for pattern in ("*.c", "*.[hi]*")
    )
    return Extension(
        "convcli.native._native",
        sources,
        depends=included,
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if IS_LIMITED else [],
        extra_compile_args=ARGUMENTS,
        extra_link_args=["-pthread"],
        py_limited_api=IS_LIMITED,
        optional=True,
    )


class BuildExtension(build_ext):
    """Builds the extension, and leaves none of an earlier build where that fails.

    It is written in vectors of GCC and Clang, which Microsoft's compiler does not have.
    """

    def build_extension(self, ext: Extension) -> None:
        built = Path(self.get_ext_fullpath(ext.name))
        try:
            if self.compiler.compiler_type == "msvc":
                raise CompileError("Microsoft's compiler cannot build it; NumPy does the work")
            super().build_extension(ext)
        except Exception:
            built.unlink(missing_ok=True)
            if self.editable_mode:
                (HERE / "convcli" / "native" / built.name).unlink(missing_ok=True)
            raise


class Wheel(bdist_wheel):
    """A wheel for one platform and all versions of Python, or for every platform where nothing was built."""

    def run(self) -> None:
        self.run_command("build")
        if not any(Path(path).exists() for path in self.get_finalized_command("build_ext").get_outputs()):
            self.distribution.ext_modules = []
            self.root_is_pure = True
        super().run()


setup(
    ext_modules=[] if os.environ.get("CONVCLI_NATIVE") == "0" else [extension()],
    cmdclass={"build_ext": BuildExtension, "bdist_wheel": Wheel},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if IS_LIMITED else {},
)
