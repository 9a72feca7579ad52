"""From what was measured of a service to what is wrong with it: findings, and the one that explains most
(`conclusion`).
"""
