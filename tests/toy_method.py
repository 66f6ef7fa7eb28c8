"""A method that fastconv does not know: convolution by plain NumPy, one product per tap of the filter, in float64.

It shows all that a method is, as ``fastconv/dispatch.py`` lists it: `supports`, `prepare`, `work` and `RATES`, and the
three operators, which get the problem whole. `test_toy_method.py` puts it into the table as one row.
"""

import itertools

import numpy as np

from fastconv.cpu.work import Rate, Work

ENGINE = "toy"
RATES = {"conv": Rate(1, 0, 0, 0, 0, 50_000), "weight_grad": Rate(1, 0, 0, 0, 0, 50_000)}
MOST_TAPS = 200
ACTIVATIONS = {
    None: lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "leaky_relu": lambda y: np.where(y > 0, y, 0.01 * y),
    "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
    "tanh": np.tanh,
}


def supports(problem):
    if problem.taps <= MOST_TAPS:
        return None
    return f"the toy serves filters of up to {MOST_TAPS} taps; this one has {problem.taps}"


def work(problem):
    return Work(tile=problem.flops, vector=0, cached=0, memory=0, regions=1, extra=0)


def prepare(problem, w):
    """w as (KD, KH, KW, g, O/g, C/g), in float64."""
    w = w if problem.channels_last else np.moveaxis(w, (0, 1), (-1, -2))
    w = w.reshape(*problem.kernel, problem.inputs, problem.groups, problem.outputs)
    return np.moveaxis(w, (3, 4, 5), (5, 3, 4)).astype(np.float64)


def conv(problem, x, w, b, y, *, activation=None):
    xp = padded(problem, grouped(problem, x))
    w = w if problem.prepared else prepare(problem, w)
    total = 0.0
    for tap, window in taps(problem):
        total = total + np.einsum("goc,ngcijk->ngoijk", w[tap], xp[window])
    if b is not None:
        total = total + b.astype(np.float64).reshape(problem.groups, problem.outputs, 1, 1, 1)
    finish = ACTIVATIONS.get(activation) or np.vectorize(activation)
    y[...] = flat(problem, finish(total))


def conv_input_grad(problem, dy, w, dx):
    dy, w = grouped(problem, dy), prepare(problem, w)
    dxp = np.zeros((problem.N, problem.groups, problem.inputs, *problem.padded))
    for tap, window in taps(problem):
        dxp[window] += np.einsum("goc,ngoijk->ngcijk", w[tap], dy)
    dx[...] = flat(problem, folded(problem, dxp))


def conv_weight_grad(problem, x, dy, dw):
    xp, dy = padded(problem, grouped(problem, x)), grouped(problem, dy)
    for tap, window in taps(problem):
        part = np.einsum("ngoijk,ngcijk->cgo", dy, xp[window]).reshape(problem.inputs, problem.O)
        if problem.channels_last:
            dw[tap] = part
        else:
            dw[(slice(None), slice(None), *tap)] = part.T


def taps(problem):
    """Each tap of the filter, and the elements of (..., D, H, W) of a padded x that it meets."""
    for tap in itertools.product(*map(range, problem.kernel)):
        starts = [u * axis.dilation for u, axis in zip(tap, problem.axes, strict=True)]
        yield tap, (..., *(
            slice(at, at + (axis.out - 1) * axis.stride + 1, axis.stride)
            for at, axis in zip(starts, problem.axes, strict=True)
        ))  # fmt: skip


def grouped(problem, a):
    """An activation as (N, g, channels of a group, D, H, W), in float64."""
    a = np.moveaxis(a, -1, 1) if problem.channels_last else a
    return a.reshape(a.shape[0], problem.groups, a.shape[1] // problem.groups, *a.shape[2:]).astype(np.float64)


def flat(problem, a):
    """The same in the caller's layout."""
    a = a.reshape(a.shape[0], a.shape[1] * a.shape[2], *a.shape[3:])
    return np.moveaxis(a, 1, -1) if problem.channels_last else a


def sources(problem):
    """Per axis, counted from the left of (N, g, c, D, H, W): where each padded element comes from, size for a zero."""
    for number, axis in enumerate(problem.axes, start=3):
        zeros = {"constant_values": axis.size} if problem.padding_mode == "zeros" else {}
        mode = "constant" if zeros else problem.padding_mode
        yield number, axis.size, np.pad(np.arange(axis.size), (axis.before, axis.after), mode, **zeros)


def padded(problem, x):
    for number, _, source in sources(problem):
        zero = np.zeros_like(x.take([0], number))
        x = np.concatenate([x, zero], number).take(source, number)
    return x


def folded(problem, dxp):
    """The gradient to x from that to the padded x: each element's goes where it was copied from."""
    for number, size, source in sources(problem):
        dx = np.zeros((size + 1, *np.delete(dxp.shape, number)))
        np.add.at(dx, source, np.moveaxis(dxp, number, 0))
        dxp = np.moveaxis(dx[:-1], 0, number)
    return dxp
