"""What one scoring pass tells beyond its averages: depth, oracle, fusion, strata, movers, calibration, cost.

`outcomes` turns (Candidates, Ranking) pairs into records without texts; all else reads those, the judgements and the
metrics of the first stage and of the reranked lists, and asks the engine for nothing. Where pairs failed, every list
made here leaves their documents out, as `stages.core.rerank.rank` does.
"""
