"""`discern deploy TARGET MODEL -o DIR`: plain files to read and keep in git. One target a file."""

import typer

from discern.cli.deploy import ci, compose, eks, gke, images, kubernetes, lambda_, systemd

app = typer.Typer(
    help="Files that put a model where people run things.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("images")(images.images)
app.command("compose")(compose.compose)
app.command("kubernetes")(kubernetes.kubernetes)
app.command("lambda")(lambda_.lambda_)
app.command("eks")(eks.eks)
app.command("gke")(gke.gke)
app.command("systemd")(systemd.systemd)
app.command("ci")(ci.ci)
