#!/usr/bin/env python3
"""The samples for Kubernetes in etc/kubernetes, as far as that goes without one."""

import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import Server, run, until  # noqa: E402

try:
    import yaml
except ImportError:
    yaml = None

SOURCE = os.environ.get("XO_SRCDIR", ".")
KINDS = {("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "StatefulSet"),
         ("policy/v1", "PodDisruptionBudget"), ("networking.k8s.io/v1", "NetworkPolicy")}
POD = "xo-0"
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]  # as doc/deploy.md says


def documents():
    for path in sorted(glob.glob(os.path.join(SOURCE, "etc", "kubernetes", "*.yaml"))):
        with open(path, encoding="utf-8") as file:
            yield from yaml.safe_load_all(file)


def of_kind(kind):
    return {document["metadata"]["name"]: document for document in documents()
            if document["kind"] == kind}


def pods():
    return [(name, each["spec"], each["spec"]["template"]["spec"])
            for name, each in of_kind("StatefulSet").items()]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def well_formed(_):
    """each document is of a kind that there is, and has a name of its own"""
    seen = [(each["apiVersion"], each["kind"]) for each in documents()]
    assert set(seen) == KINDS, seen
    names = [(each["kind"], each["metadata"]["name"]) for each in documents()]
    assert len(set(names)) == len(names), names


def schema(_):
    """they are what the schemas of Kubernetes say"""
    try:
        import kubernetes_validate
    except ImportError:
        return "kubernetes-validate is not installed"
    for document in documents():
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
    return None


def names(_):
    """what they name is there: labels, services, ports, volumes, settings, secrets"""
    with open(os.path.join(SOURCE, "doc", "deploy.md"), encoding="utf-8") as file:
        secrets = re.findall(r"kubectl create secret generic (\S+)((?: --from-\S+)*)", file.read())
    keys = {name: re.findall(r"--from-(?:file|literal)=([^=\s]+)=", how) for name, how in secrets}
    services = of_kind("Service")
    for name, spec, pod in pods():
        labels = spec["template"]["metadata"]["labels"]
        service = services[spec["serviceName"]]["spec"]
        assert spec["selector"]["matchLabels"] == labels == service["selector"], name
        ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
        assert {port["name"]: port["port"] for port in service["ports"]} == ports, name
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for each in containers(pod) for mount in each["volumeMounts"]}
        assert mounted == set(volumes) | claims, (name, mounted, volumes, claims)
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in of_kind("ConfigMap"), volume
            if "secret" in volume:
                secret = volume["secret"]
                wanted = [item["key"] for item in secret.get("items", [])]
                assert set(wanted) <= set(keys[secret["secretName"]]), (secret, keys)
    for budget in of_kind("PodDisruptionBudget").values():
        assert budget["spec"]["selector"]["matchLabels"] in [
            spec["template"]["metadata"]["labels"] for _, spec, _ in pods()]


def restricted(_):
    """nothing runs as root, writes outside of its volumes, or can become more than it is"""
    for name, _, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, container["name"]
            assert context["readOnlyRootFilesystem"], container["name"]
            assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]


def in_place(place, text):
    """A text of the sample in which its folders are in this place, and its ports any."""
    text = re.sub(r"(?<![\w/])/(keys|secrets|settings|run/xo)\b", place.path + r"/\1", text)
    return text.replace("0.0.0.0:7001", "127.0.0.1:0")


def fill(place, *paths):
    for path in paths:
        os.makedirs(os.path.join(place.path, path), mode=0o700)


def execute(place, command, env):
    return subprocess.run([in_place(place, word) for word in command], env=env, text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def runs(place):
    """its commands do what they are for: settings, node, probes, drain"""
    server = Server(place).start()
    pod = next(pod for name, _, pod in pods() if name == "xo")
    (settings,), (node,) = pod["initContainers"], pod["containers"]
    fill(place, "keys", "secrets/keys", "secrets/redis", "settings", "run/xo")
    env = dict(place.env, POD_NAME=POD)
    for each in node["env"]:
        env[each["name"]] = in_place(place, each["value"])
    where = os.path.join(place.path, "secrets", "keys")
    subprocess.run(["xo", "keys", "generate"], env=dict(env, XO_CONFIG_DIR=where), check=True,
                   stdout=subprocess.DEVNULL)
    place.write("secrets/redis/redis.password", "secret")
    ini = of_kind("ConfigMap")["xo"]["data"]["node.ini"]
    assert f"{POD}.xo:7001" in ini.replace("@HOST@", f"{POD}.xo"), ini
    ini = re.sub(r"registry = .*", f"registry = unix://{server.socket}", in_place(place, ini))
    ini = ini.replace("@HOST@:7001", "127.0.0.1:0")
    place.write("settings/node.ini", ini + "# @HOST@\n")
    done = execute(place, settings["command"], env)
    assert done.returncode == 0, done.stdout
    with open(os.path.join(place.path, "keys", "xo", "node.ini"), encoding="utf-8") as file:
        assert f"# {POD}.xo\n" in file.read()

    def probe(name):
        return execute(place, node[name]["exec"]["command"], env)

    assert probe("readinessProbe").returncode != 0
    with open(os.path.join(place.path, "log-node"), "wb") as log:
        process = subprocess.Popen([in_place(place, word) for word in node["command"]], env=env,
                                   stdout=log, stderr=log)
    until(lambda: probe("readinessProbe").returncode == 0, "it to be ready")
    assert probe("livenessProbe").returncode == 0
    done = execute(place, node["lifecycle"]["preStop"]["exec"]["command"], env)
    assert done.returncode == 0, done.stdout
    assert probe("readinessProbe").returncode != 0
    assert probe("livenessProbe").returncode == 0
    process.terminate()
    until(lambda: process.poll() is not None, "it to end")
    assert process.returncode == 0
    server.stop()


if yaml:
    run(well_formed, schema, names, restricted, runs)
else:
    print("1..0 # SKIP Python has no yaml")
