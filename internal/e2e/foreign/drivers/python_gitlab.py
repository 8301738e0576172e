"""Does with python-gitlab what it reads from standard input, a line of JSON for each
operation, and answers with a line of JSON."""

import json
import sys

import gitlab


def parent(gl, args):
    """The project or group that the operation is about."""
    if "group" in args:
        return gl.groups.get(args["group"], lazy=True)
    return gl.projects.get(args["project"], lazy=True)


def scoped(args):
    return {"filter": {"environment_scope": args["scope"]}} if args.get("scope") else {}


def listed(manager, args):
    """All pages, by the client's own iterator."""
    query = dict(args.get("query", {}))
    if args.get("paging") == "keyset":
        query["pagination"] = "keyset"
    return [item.asdict() for item in manager.list(iterator=True, **query)]


def save(gl, args):
    project = parent(gl, args)
    for name, value in args["attrs"].items():
        setattr(project, name, value)
    project.save()
    return project.asdict()


def whoami(gl, args):
    gl.auth()
    return gl.user.asdict()


OPERATIONS = {
    "version": lambda gl, a: dict(zip(("version", "revision"), gl.version())),
    "metadata": lambda gl, a: gl.http_get("/metadata"),
    "whoami": whoami,
    "own_token": lambda gl, a: gl.http_get("/personal_access_tokens/self"),
    "project": lambda gl, a: gl.projects.get(a["project"]).asdict(),
    "save_project": save,
    "projects": lambda gl, a: listed(gl.projects, a),
    "group": lambda gl, a: gl.groups.get(a["group"]).asdict(),
    "groups": lambda gl, a: listed(gl.groups, a),
    "group_projects": lambda gl, a: listed(parent(gl, a).projects, a),
    "tokens": lambda gl, a: listed(parent(gl, a).deploytokens, a),
    "all_tokens": lambda gl, a: listed(gl.deploytokens, a),
    "token": lambda gl, a: parent(gl, a).deploytokens.get(a["id"]).asdict(),
    "create_token": lambda gl, a: parent(gl, a).deploytokens.create(a["attrs"]).asdict(),
    "delete_token": lambda gl, a: parent(gl, a).deploytokens.delete(a["id"]),
    "variables": lambda gl, a: listed(parent(gl, a).variables, a),
    "variable": lambda gl, a: parent(gl, a).variables.get(a["key"], **scoped(a)).asdict(),
    "create_variable": lambda gl, a: parent(gl, a).variables.create(a["attrs"]).asdict(),
    "update_variable": lambda gl, a: parent(gl, a).variables.update(a["key"], a["attrs"], **scoped(a)),
    "delete_variable": lambda gl, a: parent(gl, a).variables.delete(a["key"], **scoped(a)),
    "environments": lambda gl, a: listed(parent(gl, a).environments, a),
    "environment": lambda gl, a: parent(gl, a).environments.get(a["id"]).asdict(),
    "stop_environment": lambda gl, a: parent(gl, a).environments.get(a["id"], lazy=True).stop(),
    "delete_environment": lambda gl, a: parent(gl, a).environments.delete(a["id"]),
    "deployments": lambda gl, a: listed(parent(gl, a).deployments, a),
    "deployment": lambda gl, a: parent(gl, a).deployments.get(a["id"]).asdict(),
}


def carry_out(request):
    gl = gitlab.Gitlab(request["url"], private_token=request["token"] or None)
    try:
        return {"value": OPERATIONS[request["op"]](gl, request["args"])}
    except gitlab.exceptions.GitlabError as refusal:
        if not refusal.response_code:
            return {"failed": repr(refusal)}
        return {"status": refusal.response_code, "message": str(refusal.error_message)}
    except Exception as failure:  # told to the test, which fails
        return {"failed": repr(failure)}


for line in sys.stdin:
    print(json.dumps(carry_out(json.loads(line))), flush=True)
