"""Planar filtering: the direct method with lanes of pixels or of channels, for problems of few output channels.

`lanes` says what the lanes are and when that pays, `bands` cuts a lowered problem, `kernels` run it, `engine` and
`weight_grad` (with `depth_weights`) are what `direct` calls, `counts` is for the cost model. `sweeps` are depthwise
filters of known sizes.
"""
