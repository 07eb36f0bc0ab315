"""Where per-row work runs, this machine's processes or a Ray cluster: settings that never change results."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal

from pydantic import Field, model_validator

from radflow.config_types import Section

RAY_ADDRESS = re.compile(r"(?:ray://)?(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}", re.ASCII)


class EngineConfig(Section):
    backend: Literal["local", "ray"] = Field(
        "local", description="local: processes of this machine; ray: a Ray cluster, or Ray on this machine."
    )
    workers: int = Field(
        0,
        ge=0,
        le=4096,
        description="Processes for per-row work, with ray tasks at once; 0 takes all cores (of the cluster), "
        "1 of local stays in this process.",
    )
    address: str | None = Field(
        None,
        description="Cluster of ray: HOST:PORT or ray://HOST:PORT, auto for the one this machine belongs to; "
        "null starts one on this machine.",
    )
    allow_remote: bool = Field(
        False, description="Let reports and images go to an address that is not loopback."
    )
    replicas: int = Field(
        0,
        ge=0,
        le=1024,
        description="Copies of the model that write reports at once, with ray; 0: one for each GPU of the "
        "cluster, one if it has none.",
    )

    @model_validator(mode="after")
    def _keep_reports_here(self) -> EngineConfig:
        if self.address is None:
            return self
        if self.backend != "ray":
            raise ValueError("engine.address is read by engine.backend: ray only")
        if not (_stays_here(self.address) or self.allow_remote):
            raise ValueError(
                "engine.address may leave this machine, and reports and images are patient data; "
                "say engine.allow_remote: true if they may be sent there"
            )
        return self


IN_PROCESS = EngineConfig(workers=1)
"""For work so small that starting processes costs more than they gain."""


def _stays_here(address: str) -> bool:
    """Whether a cluster's address is surely this machine; ``auto`` may join nodes elsewhere.

    Raises:
        ValueError: not an address.
    """
    if address == "auto":
        return False
    found = RAY_ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError("engine.address must look like HOST:PORT or ray://HOST:PORT, or be auto")
    host = found["host"].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
