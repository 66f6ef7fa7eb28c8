"""What compiled functions are put in, where Numba's way of doing it costs more than it need.

* Kernels that only kernels call (`LinkedLibrary`): Numba optimizes each function by itself and makes machine code of it
  before it links it into its callers, where all of that is done again. What Python does not call needs neither: it is
  linked as it is, optimized together with its caller, and kept in the disk cache as bitcode. That saves a third of
  what a first call costs.
* C functions (`WholeLibrary`): Numba has them call the code that they are for. They would hand on a dozen arguments
  that were just written, several at a time, and wait until all that was written before, such as a tile's sums, has
  reached the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
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


class WholeLibrary(JITCodeLibrary):  # type: ignore[misc,unused-ignore]
    """The code of one C function, which is to hold what it would call."""

    def add_ir_module(self, module: Any) -> None:
        """Add the code, without Numba's word against inlining."""
        for block in (block for function in module.functions for block in function.blocks):
            for instruction in block.instructions:
                if isinstance(instruction, ir.CallInstr):
                    instruction.attributes.discard("noinline")
        super().add_ir_module(module)


class WholeCompiler(Compiler):  # type: ignore[misc,unused-ignore]
    """Numba's compiler, for C functions."""

    def define_pipelines(self) -> Any:
        """Numba's, which fill the library that they find."""
        return _filling(WholeLibrary, self.state, super().define_pipelines)


class LinkedCompiler(Compiler):  # type: ignore[misc,unused-ignore]
    """Numba's compiler, for functions that are linked into others only."""

    def define_pipelines(self) -> Any:
        """Numba's, which fill the library that they find."""
        return _filling(LinkedLibrary, self.state, super().define_pipelines)


def _filling(kind: type[JITCodeLibrary], state: Any, pipelines: Callable[[], Any]) -> Any:
    state.library = kind(state.targetctx.codegen(), state.func_id.func_qualname)
    state.library.enable_object_caching()
    return pipelines()


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
