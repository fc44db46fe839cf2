"""EKS and GKE: scripts that can be run again, Terraform that holds together, least rights."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_lines import complaint, in_markdown, in_shell
from discern.deploy.eks import eks_files
from discern.deploy.footprint import Footprint
from discern.deploy.gke import gke_files
from discern.deploy.rendering import Files, write
from discern.deploy.subject import Subject
from discern.deploy.terraform import lambda_terraform
from discern.errors import ConfigError
from discern.model import load

pytest.importorskip("jinja2", reason="discern deploy needs the extra 'deploy'")

ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com/team/"
ARTIFACTS = "us-east1-docker.pkg.dev/my-project/team/"


def subject_in(model_folder: Path, registry: str = "") -> Subject:
    return Subject("clothes", load(model_folder), "0.1.0-ab", Footprint(200, 0.6, 12.0), registry)


def cloud_files(cloud: str, model_folder: Path, registry: str = "", bucket: str = "") -> Files:
    subject = subject_in(model_folder, registry)
    return eks_files(subject, bucket) if cloud == "eks" else gke_files(subject, bucket)


@pytest.fixture(params=["eks", "gke"])
def cloud(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(cloud: str, model_folder: Path, tmp_path: Path) -> Path:
    """What is rendered without any option, in a folder whose name has a space."""
    output = tmp_path / "to the cloud"
    write(cloud_files(cloud, model_folder), output)
    return output


# The clouds' own tools, as far as the scripts ask them: each writes down how it was called, and
# says that what is named in $THERE is there. kubectl keeps the kustomization it is given.
TOOL = r"""#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
*get-caller-identity*) echo 123456789012 ;;
*"config get-value project"*) echo my-project ;;
*--query*) echo vpc-1 ;;
*describe*)
    for there in $THERE; do [[ "$*" == *"$there"* ]] && { echo found; exit 0; }; done
    exit 1
    ;;
"apply -k "*) cat "${@: -1}/kustomization.yaml" > "$CALLS.kustomization" ;;
*"get deployments"*) echo deployment/a; echo deployment/b ;;
*--password-stdin*) cat >/dev/null ;;
esac
"""


class Shell:
    """A place to run the scripts in, without a cloud."""

    def __init__(self, place: Path) -> None:
        self.calls, self.path = place / "calls", place / "bin"
        self.path.mkdir()
        for tool in ("aws", "docker", "eksctl", "kubectl", "helm", "gcloud"):
            self._tool(tool)
        self._tool("gke-gcloud-auth-plugin")

    def _tool(self, name: str) -> None:
        (self.path / name).write_text(TOOL)
        (self.path / name).chmod(0o755)

    def run(
        self, script: Path, *arguments: str, there: str = "", answer: str = ""
    ) -> tuple[int, list[str]]:
        """The exit code, and the calls of tools."""
        self.calls.write_text("")
        seen = {"CALLS": str(self.calls), "THERE": there}
        done = subprocess.run(
            ["bash", str(script), *arguments],
            env={**os.environ, **seen, "PATH": f"{self.path}:{os.environ['PATH']}"},
            input=f"{answer}\n",
            capture_output=True,
            text=True,
            timeout=20,
        )
        print(done.stdout, done.stderr)
        return done.returncode, self.calls.read_text().splitlines()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def calls_of(calls: list[str], tool: str) -> list[str]:
    return [call for call in calls if call.startswith(f"{tool} ")]


def test_images_are_pushed_once(folder: Path, shell: Shell) -> None:
    code, calls = shell.run(folder / "push-images.sh")
    assert code == 0
    pushed = calls_of(calls, "docker push")
    assert [call.rpartition("/")[2] for call in pushed] == [
        "clothes-gateway:0.1.0-ab",
        "clothes-model-server:0.1.0-ab",
    ]
    built = calls_of(calls, "docker build")
    assert len(built) == 2
    assert all(str(folder) in call for call in built)
    assert any("create" in call for call in calls)
    code, calls = shell.run(folder / "push-images.sh", there="repositor images")
    assert code == 0
    assert not calls_of(calls, "docker push")
    assert not any("create" in call for call in calls)


def test_a_cluster_is_made_once(folder: Path, shell: Shell, cloud: str) -> None:
    code, calls = shell.run(folder / "deploy.sh")
    assert code == 0
    creation = {"eks": "eksctl create cluster", "gke": "gcloud container clusters create-auto"}
    assert len(calls_of(calls, creation[cloud])) == 1
    assert len([call for call in calls if "rollout status" in call]) == 2
    code, calls = shell.run(folder / "deploy.sh", there="cluster")
    assert code == 0
    assert not calls_of(calls, creation[cloud])
    assert not list(folder.glob(".deploy.*"))


@pytest.mark.parametrize("given", [False, True])
def test_manifests_name_the_images_pushed(
    cloud: str, model_folder: Path, tmp_path: Path, shell: Shell, given: bool
) -> None:
    registry = {"eks": ECR, "gke": ARTIFACTS}[cloud] if given else ""
    write(cloud_files(cloud, model_folder, registry), tmp_path / "out")
    _, calls = shell.run(tmp_path / "out/push-images.sh")
    pushed = {call.split()[-1] for call in calls_of(calls, "docker push")}
    assert shell.run(tmp_path / "out/deploy.sh", there="cluster")[0] == 0
    overlay = yaml.safe_load(Path(f"{shell.calls}.kustomization").read_text())
    below = yaml.safe_load((tmp_path / f"out/overlays/{cloud}/kustomization.yaml").read_text())
    renamed = {image["name"]: image["newName"] for image in overlay["images"]}
    used = {
        f"{renamed.get(image.get('newName', image['name']))}:{image['newTag']}"
        for image in below["images"]
    }
    assert used == pushed
    assert all(name.startswith(registry) for name in pushed)


def test_nothing_goes_without_its_name(folder: Path, shell: Shell) -> None:
    for answer in ("", "yes", "clothes-2"):
        code, calls = shell.run(folder / "tear-down.sh", there="cluster", answer=answer)
        assert code == 1
        assert not [call for call in calls if "delete" in call]
    code, calls = shell.run(folder / "tear-down.sh", there="cluster", answer="clothes")
    assert code == 0
    deleted = [call for call in calls if "delete" in call]
    assert "delete namespace clothes" in deleted[0]  # while its controller still runs
    assert "cluster" in deleted[1]
    assert len(deleted) == 2  # the images stay
    _, calls = shell.run(folder / "tear-down.sh", "--images", answer="clothes")
    assert (
        len([call for call in calls if "delete" in call]) == 2
    )  # and no cluster, if none is there


def test_a_missing_tool_is_named(folder: Path, shell: Shell) -> None:
    bash = shutil.which("bash")
    assert bash
    (shell.path / "kubectl").unlink()
    for tool in ("dirname", "sed", "head", "cat", "basename", "env", "bash"):
        (shell.path / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        [bash, str(folder / "deploy.sh")],
        env={"PATH": str(shell.path), "CALLS": str(shell.calls), "THERE": ""},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "needs kubectl" in done.stderr


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_no_complaint(cloud: str, model_folder: Path, tmp_path: Path) -> None:
    for bucket in ("", "models"):
        output = tmp_path / f"out{bucket}"
        write(cloud_files(cloud, model_folder, bucket=bucket), output)
        scripts = sorted(map(str, output.glob("*.sh")))
        assert len(scripts) == 4
        done = subprocess.run(["shellcheck", "-x", *scripts], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_region_is_the_registry_s(model_folder: Path) -> None:
    files = cloud_files("eks", model_folder, ECR)
    assert yaml.safe_load(str(files["cluster.yaml"]))["metadata"]["region"] == "us-west-2"
    assert 'default     = "us-west-2"' in str(files["terraform/variables.tf"])
    assert '"team/clothes-gateway"' in str(files["terraform/registry.tf"])
    files = cloud_files("gke", model_folder, ARTIFACTS)
    assert 'region="us-east1"\nproject="my-project"\nrepository="team"\n' in str(
        files["settings.sh"]
    )
    for cloud, wrong in (("eks", ARTIFACTS), ("gke", ECR)):
        with pytest.raises(ConfigError, match=r"discern deploy kubernetes\.$"):
            cloud_files(cloud, model_folder, wrong)


def test_a_bucket_may_be_read_only_where_asked(model_folder: Path) -> None:
    def roles(bucket: str) -> list[dict[str, Any]]:
        files = cloud_files("eks", model_folder, bucket=bucket)
        cluster = yaml.safe_load(str(files["cluster.yaml"]))
        found = cluster["iam"]["podIdentityAssociations"]
        return [role for role in found if role["namespace"] == "clothes"]

    assert roles("") == []
    (role,) = roles("my-models")
    allowed = role["permissionPolicy"]["Statement"]
    assert {s["Action"]: s["Resource"] for s in allowed} == {
        "s3:ListBucket": "arn:aws:s3:::my-models",
        "s3:GetObject": "arn:aws:s3:::my-models/*",
    }
    accounts = yaml.safe_load_all(
        str(cloud_files("eks", model_folder)["base/service-accounts.yaml"])
    )
    assert role["serviceAccountName"] in {account["metadata"]["name"] for account in accounts}
    for cloud, scheme in (("eks", "s3"), ("gke", "gs")):
        assert "my-models" not in str(cloud_files(cloud, model_folder).values())
        overlay = cloud_files(cloud, model_folder, bucket="my-models")[
            f"overlays/{cloud}/kustomization.yaml"
        ]
        assert f"MODEL_URL={scheme}://my-models/clothes/0.1.0-ab" in str(overlay)


def test_commands_in_them_are_discern_s(cloud: str, model_folder: Path) -> None:
    files = cloud_files(cloud, model_folder, bucket="models")
    texts = {name: text for name, text in files.items() if isinstance(text, str)}
    commands = [
        words
        for name, text in texts.items()
        if name.endswith((".md", ".sh"))
        for words in (in_markdown(text) if name.endswith(".md") else in_shell(text))
    ]
    assert [c for words in commands if (c := complaint(words))] == []


# Terraform, without its providers.

REFERENCE = re.compile(r"\b(var|local|module|data|(?:aws|google)_\w+)\.(\w+)(?:\.(\w+))?")


@pytest.fixture(params=["eks", "gke", "lambda"])
def terraform(request: pytest.FixtureRequest, model_folder: Path) -> dict[str, str]:
    """The .tf files of one cloud, by name."""
    if request.param == "lambda":
        files: Files = lambda_terraform(subject_in(model_folder, ECR), memory_mb=1769)
    else:
        files = cloud_files(request.param, model_folder, bucket="models")
    return {name: str(text) for name, text in files.items() if name.endswith(".tf")}


def parsed(files: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each block's kind and content; labels without their quotes."""
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    for text in files.values():
        for kind, blocks in hcl2.loads(text).items():
            for block in blocks if isinstance(blocks, list) else ():
                yield kind, json.loads(json.dumps(block).replace('\\"', ""))


def declared(files: dict[str, str]) -> dict[str, set[str]]:
    """Names by what they are referred to with: {"var": {"region", …}, "aws_iam_role": …}."""
    kinds = {"variable": "var", "locals": "local", "module": "module"}
    found: dict[str, set[str]] = {}
    for kind, block in parsed(files):
        for label, inner in block.items():
            if kind in kinds and not label.startswith("__"):
                found.setdefault(kinds[kind], set()).add(label)
            elif kind in ("resource", "data") and isinstance(inner, dict):
                names = {f"{label}.{n}" if kind == "data" else n for n in inner if n[0] != "_"}
                found.setdefault("data" if kind == "data" else label, set()).update(names)
    return found


def referred(files: dict[str, str]) -> set[tuple[str, str]]:
    code = re.sub(r"(?m)#.*$", "", "\n".join(files.values()))
    code = re.sub(r'resource "\w+" "\w+"|data "\w+" "\w+"', "", code)
    found = REFERENCE.findall(code)
    return {(k, f"{name}.{inner}" if k == "data" else name) for k, name, inner in found}


def test_everything_referred_to_is_declared_and_used(terraform: dict[str, str]) -> None:
    names, uses = declared(terraform), referred(terraform)
    assert [use for use in uses if use[1] not in names.get(use[0], set())] == []
    assert {name for kind, name in uses if kind == "var"} == names["var"]
    assert {name for kind, name in uses if kind == "local"} == names.get("local", set())
    broken = terraform | {"x.tf": 'output "x" { value = aws_kms_key.nowhere.arn }\n'}
    assert ("aws_kms_key", "nowhere") in referred(broken)
    assert "nowhere" not in declared(broken).get("aws_kms_key", set())


def test_variables_and_outputs_are_described(terraform: dict[str, str]) -> None:
    blocks = [(k, b) for k, b in parsed(terraform) if k in ("variable", "output")]
    assert len(blocks) >= 8
    for kind, block in blocks:
        ((name, inner),) = ((n, i) for n, i in block.items() if not n.startswith("__"))
        assert inner["description"].endswith((".", "plan")), name
        assert kind == "output" or "type" in inner, name


def test_versions_are_pinned(terraform: dict[str, str]) -> None:
    blocks = list(parsed(terraform))
    (settings,) = (block for kind, block in blocks if kind == "terraform")
    assert settings["required_version"]
    for providers in settings["required_providers"]:
        for name, provider in providers.items():
            assert name.startswith("__") or provider["version"].startswith("~> ")
    for kind, block in blocks:
        for name, module in block.items() if kind == "module" else ():
            assert name.startswith("__") or re.fullmatch(r"\d+\.\d+\.\d+", module["version"])


def test_rights_are_named_one_by_one(terraform: dict[str, str]) -> None:
    for kind, block in parsed(terraform):
        for statement in statements(block) if kind == "data" else ():
            assert all("*" not in action for action in statement["actions"])
            assert "*" not in statement.get("resources", [])
            assert "resources" in statement or "principals" in statement


def statements(block: dict[str, Any]) -> list[dict[str, Any]]:
    documents = block.get("aws_iam_policy_document", {}).values()
    return [s for document in documents for s in document["statement"]]


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_terraform_is_formatted(terraform: dict[str, str], tmp_path: Path) -> None:
    write(terraform, tmp_path / "tf")
    (tmp_path / "rc").touch()
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-recursive", str(tmp_path / "tf")],
        env={**os.environ, "TF_CLI_CONFIG_FILE": str(tmp_path / "rc"), "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
