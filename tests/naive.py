"""The oracle: convolutions in float64 (complex128) by plain loops, importing nothing but NumPy.

Everything is channels-first: x (N, C, *size), w (O, C/groups, *kernel), y (N, O, *out), for one to three spatial axes.
`to_last`, `to_first`, `weights_to_last` and `weights_to_first` convert. The loops run over output positions and groups;
one position's sum over channels and taps is one contraction, never by a BLAS, for which 0*NaN may be 0. `stride` and
`dilation` are tuples with an entry per axis, `padding` is a (before, after) pair per axis.
"""

from itertools import product

import numpy as np

MODES = ("zeros", "edge", "reflect", "symmetric", "wrap")


def wide(a):
    """`a` in float64 or complex128."""
    a = np.asarray(a)
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def to_last(a):
    """(N, C, *size) -> (N, *size, C)."""
    return np.ascontiguousarray(np.moveaxis(a, 1, -1))


def to_first(a):
    """(N, *size, C) -> (N, C, *size)."""
    return np.ascontiguousarray(np.moveaxis(a, -1, 1))


def weights_to_last(w):
    """(O, C/groups, *kernel) -> (*kernel, C/groups, O); a transposed convolution's weights alike."""
    return np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))


def weights_to_first(w):
    """(*kernel, C/groups, O) -> (O, C/groups, *kernel); a transposed convolution's weights alike."""
    return np.ascontiguousarray(np.moveaxis(w, (-1, -2), (0, 1)))


def same_padding(size, kernel, stride, dilation):
    """Keras's "same": ceil(n / s) outputs, the odd element of padding goes behind."""
    pairs = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        outputs = -(-n // s)
        total = max(0, (outputs - 1) * s + d * (k - 1) + 1 - n)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def out_size(size, kernel, stride, dilation, padding):
    """Windows that fit along each axis, counted one by one."""
    out = []
    for n, k, s, d, (before, after) in zip(size, kernel, stride, dilation, padding, strict=True):
        count = 0
        while count * s + d * (k - 1) < before + n + after:
            count += 1
        out.append(count)
    return tuple(out)


def pad(x, padding, mode="zeros"):
    """x with its border, by `np.pad`."""
    widths = ((0, 0), (0, 0), *padding)
    return np.pad(x, widths, mode="constant" if mode == "zeros" else mode)


def unpad_sum(dxp, size, padding, mode="zeros"):
    """The adjoint of `pad`: every border element's gradient goes back to the element it was copied from."""
    source = np.arange(np.prod(size, dtype=int)).reshape(size)
    options = {"constant_values": -1} if mode == "zeros" else {"mode": mode}
    source = np.pad(source, padding, **options)
    source = source.reshape(-1)
    flat = dxp.reshape(*dxp.shape[:2], source.size)
    dx = np.zeros((*dxp.shape[:2], np.prod(size, dtype=int)), dxp.dtype)
    real = np.flatnonzero(source >= 0)
    np.add.at(dx, (slice(None), slice(None), source[real]), flat[:, :, real])
    return dx.reshape(*dxp.shape[:2], *size)


def _windows(out, kernel, stride, dilation):
    """Every output position with the slices of the padded input that it reads."""
    for position in product(*map(range, out)):
        yield (
            position,
            tuple(
                slice(i * s, i * s + d * (k - 1) + 1, d)
                for i, k, s, d in zip(position, kernel, stride, dilation, strict=True)
            ),
        )


def conv(x, w, b=None, *, stride, dilation, padding, padding_mode="zeros", groups=1, activation=None):
    """y[n,o,i] = activation(b[o] + sum over c,u of xp[n, c, i*stride + u*dilation] * w[o,c,u])."""
    x, w = wide(x), wide(w)
    kernel, per_group, outputs = w.shape[2:], w.shape[1], w.shape[0] // groups
    out = out_size(x.shape[2:], kernel, stride, dilation, padding)
    xp = pad(x, padding, padding_mode)
    y = np.zeros((x.shape[0], w.shape[0], *out), np.result_type(x, w))
    for g in range(groups):
        xg = xp[:, g * per_group : (g + 1) * per_group]
        wg = w[g * outputs : (g + 1) * outputs].reshape(outputs, -1)
        yg = y[:, g * outputs : (g + 1) * outputs]
        for position, window in _windows(out, kernel, stride, dilation):
            patch = xg[(slice(None), slice(None), *window)].reshape(x.shape[0], wg.shape[1])
            yg[(slice(None), slice(None), *position)] = (patch[:, None, :] * wg).sum(axis=2)
    if b is not None:
        y = y + wide(b).reshape(1, -1, *(1,) * len(kernel))
    return activate(y, activation)


def conv_input_grad(dy, w, size, *, stride, dilation, padding, padding_mode="zeros", groups=1):
    """dx: each dy[n,o,i] * w[o,c,u] is added where the forward pass read its input (no conjugation)."""
    dy, w = wide(dy), wide(w)
    kernel, per_group, outputs = w.shape[2:], w.shape[1], w.shape[0] // groups
    padded = tuple(n + before + after for n, (before, after) in zip(size, padding, strict=True))
    dxp = np.zeros((dy.shape[0], per_group * groups, *padded), np.result_type(dy, w))
    for g in range(groups):
        dxg = dxp[:, g * per_group : (g + 1) * per_group]
        wg = w[g * outputs : (g + 1) * outputs]
        dyg = dy[:, g * outputs : (g + 1) * outputs]
        for position, window in _windows(dy.shape[2:], kernel, stride, dilation):
            one = dyg[(slice(None), slice(None), *position)]
            dxg[(slice(None), slice(None), *window)] += np.einsum("no,oc...->nc...", one, wg)
    return unpad_sum(dxp, size, padding, padding_mode)


def conv_weight_grad(x, dy, kernel, *, stride, dilation, padding, padding_mode="zeros", groups=1):
    """dw[o,c,u] = sum over n,i of xp[n, c, i*stride + u*dilation] * dy[n,o,i] (no conjugation)."""
    x, dy = wide(x), wide(dy)
    per_group, outputs = x.shape[1] // groups, dy.shape[1] // groups
    xp = pad(x, padding, padding_mode)
    dw = np.zeros((dy.shape[1], per_group, *kernel), np.result_type(x, dy))
    for g in range(groups):
        xg = xp[:, g * per_group : (g + 1) * per_group]
        dyg = dy[:, g * outputs : (g + 1) * outputs]
        dwg = dw[g * outputs : (g + 1) * outputs]
        for position, window in _windows(dy.shape[2:], kernel, stride, dilation):
            one = dyg[(slice(None), slice(None), *position)]
            dwg += np.einsum("no,nc...->oc...", one, xg[(slice(None), slice(None), *window)])
    return dw


def conv_transpose(x, w, b=None, *, stride, dilation, padding, output_padding, groups=1, activation=None):
    """Each x[n,c,i] * w[c,o,u] is added to y[n, o, i*stride + u*dilation]; then `padding` is cut off.

    `output_padding` adds elements behind, which hold whatever the scattered products leave there.
    """
    x, w = wide(x), wide(w)
    kernel, per_group, inputs = w.shape[2:], w.shape[1], w.shape[0] // groups
    full = tuple(
        (n - 1) * s + d * (k - 1) + 1 + extra
        for n, k, s, d, extra in zip(x.shape[2:], kernel, stride, dilation, output_padding, strict=True)
    )
    y = np.zeros((x.shape[0], per_group * groups, *full), np.result_type(x, w))
    for g in range(groups):
        xg, wg = x[:, g * inputs : (g + 1) * inputs], w[g * inputs : (g + 1) * inputs]
        yg = y[:, g * per_group : (g + 1) * per_group]
        for position, window in _windows(x.shape[2:], kernel, stride, dilation):
            one = xg[(slice(None), slice(None), *position)]
            yg[(slice(None), slice(None), *window)] += np.einsum("nc,co...->no...", one, wg)
    kept = tuple(slice(before, n - after) for n, (before, after) in zip(full, padding, strict=True))
    y = y[(slice(None), slice(None), *kept)]
    if b is not None:
        y = y + wide(b).reshape(1, -1, *(1,) * len(kernel))
    return activate(y, activation)


def activate(y, activation):
    """The named activations and any scalar function, element by element."""
    if activation is None:
        return y
    if activation == "relu":
        return np.where(y < 0, 0.0, y)
    if activation == "leaky_relu":
        return np.where(y < 0, 0.01 * y, y)
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-y))
    if activation == "tanh":
        return np.tanh(y)
    return np.vectorize(activation, otypes=[y.dtype])(y) if y.size else y
