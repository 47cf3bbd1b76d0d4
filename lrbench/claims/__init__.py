"""What introductions to the learning rate say, and whether it was measured to be so.

A study of several grids (`built_in/claims.toml`) is trained as any other; then `judging` asks each claim of its grids. `training`, `basics`,
`draw` and `events` hold the claims and their pictures, `evidence` what they may look at, `limits` the bounds that were set before, and `page` the
page of verdicts. It reads results and draws pictures; nothing but execution imports it.
"""

from lrbench.claims.judging import CLAIMS, Claim, Judged, judge, pictures, table
from lrbench.claims.limits import LIMITS, Limits
from lrbench.claims.page import page

__all__ = ["CLAIMS", "LIMITS", "Claim", "Judged", "Limits", "judge", "page", "pictures", "table"]
