"""What a judge model says, and how far to believe it: `reply` reads a grade, `agreement` holds grades beside people's,
`planted` what texts that ask for a grade change. Open `record` first.
"""
