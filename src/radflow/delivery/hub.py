"""Push an exported folder to a model hub: only when asked to, private unless asked otherwise"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import httpx2
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from radflow.errors import ModelError

LOG_IN = "Log in once (hf auth login), or set HF_TOKEN to one that may write. HF_ENDPOINT names another hub."


def require_token() -> str:
    """The hub's token, from HF_TOKEN or an earlier log-in.

    Raises:
        ModelError: there is none.
    """
    token = get_token()
    if not token:
        raise ModelError("no token for the model hub was found", where="--push", next_step=LOG_IN)
    return token


class Pushed(NamedTuple):
    """Where the files are, and who may read them: what the hub says, not what was asked for."""

    address: str
    is_private: bool


def push(folder: Path, name: str, *, is_public: bool = False) -> Pushed:
    """Upload the files of a folder into a model repository, which is made if it isn't there.

    Args:
        name: USER/MODEL on the hub that HF_ENDPOINT names; MODEL alone is one of the token's owner.
        is_public: anyone may read it, if it is made now: one that is there keeps its visibility.

    Raises:
        ModelError: no token, no such hub, no right to write, or a repository that is public already though a
            private one was asked for.
    """
    api = HfApi(token=require_token())
    try:
        address = api.create_repo(name, private=not is_public, exist_ok=True)
        # An existing repository keeps its visibility, whatever is asked for when it is opened.
        is_private = bool(api.model_info(address.repo_id).private)
        if not is_public and not is_private:
            raise ModelError(
                "the repository is there already and public; nothing was uploaded",
                where=f"--push {name}",
                next_step="Name another one, make it private on the hub, or add --public.",
            )
        api.upload_folder(
            repo_id=address.repo_id, folder_path=folder, commit_message="Model exported by radflow"
        )
    except HFValidationError:
        raise ModelError(
            "not the name of a model repository",
            where=f"--push {name}",
            next_step="Give it as USER/MODEL or ORGANISATION/MODEL.",
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "unknown"
        raise ModelError(
            f"the hub refused it (status {status})", where=f"--push {name}", next_step=LOG_IN
        ) from None
    except OfflineModeIsEnabled:
        raise ModelError(
            "the hub client is set offline", where=f"--push {name}", next_step="Unset HF_HUB_OFFLINE."
        ) from None
    except (httpx2.HTTPError, OSError) as error:
        raise ModelError(
            f"the hub can't be reached ({type(error).__name__})",
            where=f"--push {name}",
            next_step=f"Check the network. The export is kept: {folder}",
        ) from None
    return Pushed(str(address), is_private)
