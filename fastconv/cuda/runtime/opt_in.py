"""More than 48 KB of shared memory for a kernel: the driver wants to be asked, and no target of Numba asks it.

Two drivers are known: numba-cuda's, on the bindings of package cuda-python, where a kernel is a `CUkernel` of the
current context's library; and that of Numba's own target, which calls libcuda through ctypes. CUDA driver API,
cuKernelSetAttribute and cuFuncSetAttribute.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

SHARED_BYTES = 48 << 10  # what a block may have without asking
MAX_DYNAMIC_SHARED_SIZE_BYTES = 8  # of the enumeration CUfunction_attribute


def allow(kernel: Any, args: tuple[Any, ...], shared: int) -> None:
    """Allow the version of `kernel` for `args` blocks with `shared` bytes, on the current device."""
    signature = tuple(kernel.typeof_pyval(a) for a in args)
    function = kernel.compile(signature)._codelibrary.get_cufunc()
    module: Any = import_module("numba.cuda.cudadrv.driver")
    _set(module, function, shared)


def _set(module: Any, function: Any, shared: int) -> None:
    driver, binding = module.driver, getattr(module, "binding", None)
    if binding is None:  # Numba's own target, whose table of functions lacks this one
        status = driver.lib.cuFuncSetAttribute(function.handle, MAX_DYNAMIC_SHARED_SIZE_BYTES, shared)
        if status:
            raise RuntimeError(f"cuFuncSetAttribute refuses {shared} bytes of shared memory: CUDA error {status}")
        return
    attribute = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    if isinstance(function.handle, binding.CUkernel):
        driver.cuKernelSetAttribute(attribute, shared, function.handle, function.device.id)
    else:
        driver.cuFuncSetAttribute(function.handle, attribute, shared)
