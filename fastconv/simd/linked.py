"""Kernels that only kernels call: Numba's intermediate code, which becomes machine code in their callers.

Numba optimizes each function by itself and makes machine code of it before it links it into its callers, where all of
that is done again. What Python does not call needs neither: its code is linked as it is, and optimized together with
its caller's. That saves a fifth of what a first call costs. The disk cache keeps it as bitcode.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult

KIND = "linked"  # of a library in the disk cache; Numba's own are "object" and "bitcode"


class LinkedLibrary(JITCodeLibrary):  # type: ignore[misc,unused-ignore]
    """The code of one function and of what it calls, for linking only: it has no addresses."""

    def _optimize_final_module(self) -> None:
        """Nothing: callers are optimized as a whole."""

    def _finalize_final_module(self) -> None:
        """Let callers link it; Numba would hand it to its engine, which makes machine code of it."""
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Zero: the wrapper that Python would call does not exist."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        """Where Numba puts the function's environment, a Python object: no kernel uses one."""
        return _NoEnvironment

    def serialize_using_object_code(self) -> tuple[str, str, bytes]:
        """What the disk cache keeps of it."""
        self._ensure_finalized()
        return self.name, KIND, self._final_module.as_bitcode()


class _NoEnvironment:
    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        pass


class LinkedCompiler(Compiler):  # type: ignore[misc,unused-ignore]
    """Numba's compiler, for functions that are linked into others only."""

    def define_pipelines(self) -> Any:
        """Numba's, which fill the library that they find."""
        codegen = self.state.targetctx.codegen()
        self.state.library = LinkedLibrary(codegen, self.state.func_id.func_qualname)
        return super().define_pipelines()


def rebuilt(context: Any, reduced: tuple[Any, ...]) -> Any:
    """What the disk cache kept of a compiled function, as Numba's `CompileResult`."""
    (name, kind, code), description, environment, signature, objectmode, lifted, annotation, reload, known = reduced
    if kind != KIND:
        return CompileResult._rebuild(context, *reduced)
    library = LinkedLibrary(context.codegen(), name)
    library._final_module = binding.parse_bitcode(code)
    library._finalize_final_module()
    return CompileResult(
        target_context=context,
        typing_context=context.typing_context,
        library=library,
        environment=environment,
        entry_point=context.get_executable(library, description, environment),
        fndesc=description,
        type_annotation=annotation,
        signature=signature,
        objectmode=objectmode,
        lifted=lifted,
        typing_error=None,
        call_helper=None,
        metadata=None,
        reload_init=reload,
        referenced_envs=known,
    )
