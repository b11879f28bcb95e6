"""What IAM must allow so that jobs of a kind can be created and looked after.

Invariant: facts of AWS's service authorization reference, as data; which of them an installation needs is decided by
whoever writes a policy. Operations are not repeated here: an action is the prefix and the operation's own name.
"""

from dataclasses import dataclass
from typing import Final

EVERY_MODEL: Final = (
    # Inference profiles lead to models of other Regions; foundation models belong to no account.
    "arn:{partition}:bedrock:*::foundation-model/*",
    "arn:{partition}:bedrock:{region}:{account}:inference-profile/*",
    "arn:{partition}:bedrock:{region}:{account}:application-inference-profile/*",
)


@dataclass(frozen=True, slots=True)
class AsCaller:
    """What AWS does for a job with the permissions of whoever created it, instead of a role's."""

    purpose: str
    """In a word, as part of a statement's id."""
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    """Patterns of ARNs, with `{partition}`, `{region}`, `{account}`; with `{bucket}` one for each bucket."""


BUCKETS_AS_CALLER: Final = (
    AsCaller("Objects", ("s3:GetObject", "s3:PutObject"), ("arn:{partition}:s3:::{bucket}/*",)),
    AsCaller("Buckets", ("s3:ListBucket",), ("arn:{partition}:s3:::{bucket}",)),
)


@dataclass(frozen=True, slots=True)
class Permissions:
    """What IAM knows of one kind."""

    prefix: str
    """Service prefix of its actions."""
    job: str
    """Pattern of the ARNs of its remote jobs, with `{partition}`, `{region}`, `{account}`."""
    nowhere: str
    """The last part of such an ARN that no job has."""
    create_on: tuple[str, ...] = ()
    """Further ARNs that a create is judged by."""
    passes_role_to: str = ""
    """The service that a create hands the spec's role to; empty: there is no role."""
    as_caller: tuple[AsCaller, ...] = ()

    def nobody(self, partition: str, region: str, account: str) -> str:
        """The ARN of a remote job that cannot exist."""
        base = self.job.format(partition=partition, region=region, account=account)
        return f"{base.removesuffix('*')}{self.nowhere}"
