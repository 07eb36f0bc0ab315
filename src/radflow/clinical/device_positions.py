"""Devices that lie wrong in the Findings, and that the Impression calls well placed or leaves out."""

from __future__ import annotations

from collections.abc import Iterator

from radflow.clinical.ontology import Ontology
from radflow.clinical.section_claims import Claim, Claims, Problem
from radflow.clinical.traces import Traces


class DevicePositions:
    """Compares what two sections say of the position of devices; by sentences, not by kinds of device."""

    def __init__(self, ontology: Ontology) -> None:
        self._devices = {name for name, item in ontology.observations.items() if item.is_device}
        self._wrong = Traces(ontology.agreement.wrong_position)
        self._right = Traces(ontology.agreement.right_position)

    def problems(self, findings: Claims, impression: Claims) -> Iterator[Problem]:
        """At most one: contradicted when the Impression praises the position, else omitted."""
        wrong = [claim for claim in self._claims(findings) if self._is_wrong(claim)]
        if not wrong:
            return
        named = self._claims(impression)
        if any(self._wrong.stand_in(bags[0]) for _, bags in impression.bags):
            return
        label = wrong[0].finding.observation
        praised = [claim for claim in named if self._right.stand_in(claim.bag)]
        if praised:
            yield Problem("contradicted", label, wrong[0], praised[0])
        elif not named:
            yield Problem("critical_omitted", label, wrong[0], None)

    def _claims(self, claims: Claims) -> list[Claim]:
        return [claim for claim in claims.there if claim.finding.observation in self._devices]

    def _is_wrong(self, claim: Claim) -> bool:
        return self._wrong.stand_in(claim.bag) and not self._right.stand_in(claim.bag)
