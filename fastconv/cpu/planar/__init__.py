"""Planar filtering: the direct method with lanes of pixels or of channels, for problems of few output channels.

`lanes` says what the lanes are and when that pays, `blocking` cuts a lowered problem, `kernels` run it, `sweep` and
`weight_grad` are what the operators call, `work` counts for the cost model.
"""
