"""Who uses a claim, or would again (C5 of the domain facts)."""

from __future__ import annotations

from cluster.transport import Transport
from cluster.values import Claim, Consumers, VolumeAttachment


class ConsumerReads(Transport):
    def consumers_of(self, claim: Claim) -> Consumers:
        """Pods in any phase, templates that name the claim, owner chains to the top, autoscalers and budgets of those."""
        raise NotImplementedError

    def attachments_of(self, claim: Claim) -> list[VolumeAttachment]:
        """VolumeAttachments of its volume, attached or not."""
        raise NotImplementedError
