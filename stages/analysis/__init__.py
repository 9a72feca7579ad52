"""What one scoring pass tells beyond its averages: depth, oracle, fusion, strata, movers, calibration, cost.

`outcome_of` turns Candidates and their Ranking into a record without texts. Depth, oracle, fusion, strata, calibration
and ties read those, the judgements and the metrics of the first stage and of the reranked lists; `position` alone asks
a scorer. Where pairs failed, every list made here leaves their documents out, as `stages.core.rerank.rank` does.
"""
