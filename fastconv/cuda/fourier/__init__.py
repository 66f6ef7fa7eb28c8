"""Convolution by Fourier transforms: how images are cut, products of spectra, and the transforms themselves."""
