"""The mean change where people judged some queries, drawn at random, and a model judged all: prediction-powered inference.

With y a query's change by people's grades and f that by the model's, the estimate is mean_S(y) + L (mean f - mean_S(f)):
over S, the queries that people judged, corrected by how far their f lies from that of all. L = 0 are people alone, L = 1
is PPI (Angelopoulos et al., Prediction-powered inference, Science 382, 2023), L from the data PPI++ (Angelopoulos, Duchi
and Zrnic, arXiv 2311.01453), which survey sampling has as the difference and the regression estimator (Cochran, Sampling
Techniques, 3rd edition, 1977, chapter 7; the combined one where there are strata). However wrong the model is the
estimate is right on average; it is as precise as f tells y.
"""

from __future__ import annotations
