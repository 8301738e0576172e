// Does with @gitbeaker/rest what it reads from standard input, a line of JSON for each
// operation, and answers with a line of JSON. The first argument is the folder in which
// the client is installed.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { Gitlab } = createRequire(process.argv[2] + "/package.json")("@gitbeaker/rest");

// The project or group that the operation is about, as an option.
const parent = (a) => (a.group === undefined ? { projectId: a.project } : { groupId: a.group });
const scoped = (a) => (a.scope ? { filter: { environment_scope: a.scope } } : {});
const query = (a) => ({ ...a.query, ...(a.paging === "keyset" ? { pagination: "keyset" } : {}) });
const rest = ({ name, scopes, ...others }) => others;
const valueless = ({ key, value, ...others }) => others;

const operations = {
  version: (g) => g.Metadata.show(),
  metadata: (g) => g.Metadata.show(),
  whoami: (g) => g.Users.showCurrentUser(),
  own_token: (g) => g.PersonalAccessTokens.show(),
  project: (g, a) => g.Projects.show(a.project),
  save_project: (g, a) => g.Projects.edit(a.project, a.attrs),
  projects: (g, a) => g.Projects.all(query(a)),
  group: (g, a) => g.Groups.show(a.group),
  groups: (g, a) => g.Groups.all(query(a)),
  group_projects: (g, a) => g.Groups.allProjects(a.group, query(a)),
  tokens: (g, a) => g.DeployTokens.all({ ...parent(a), ...query(a) }),
  all_tokens: (g, a) => g.DeployTokens.all(query(a)),
  token: (g, a) => g.DeployTokens.show(a.id, parent(a)),
  create_token: (g, a) => g.DeployTokens.create(a.attrs.name, a.attrs.scopes, { ...parent(a), ...rest(a.attrs) }),
  delete_token: (g, a) => g.DeployTokens.remove(a.id, parent(a)),
  variables: (g, a) => g.ProjectVariables.all(a.project, query(a)),
  variable: (g, a) => g.ProjectVariables.show(a.project, a.key, scoped(a)),
  create_variable: (g, a) => g.ProjectVariables.create(a.project, a.attrs.key, a.attrs.value, valueless(a.attrs)),
  update_variable: (g, a) => g.ProjectVariables.edit(a.project, a.key, a.attrs.value, { ...valueless(a.attrs), ...scoped(a) }),
  delete_variable: (g, a) => g.ProjectVariables.remove(a.project, a.key, scoped(a)),
  environments: (g, a) => g.Environments.all(a.project, query(a)),
  environment: (g, a) => g.Environments.show(a.project, a.id),
  stop_environment: (g, a) => g.Environments.stop(a.project, a.id),
  delete_environment: (g, a) => g.Environments.remove(a.project, a.id),
  deployments: (g, a) => g.Deployments.all(a.project, query(a)),
  deployment: (g, a) => g.Deployments.show(a.project, a.id),
};

async function carryOut(request) {
  const client = new Gitlab({ host: request.url, token: request.token || "" });
  try {
    return { value: (await operations[request.op](client, request.args)) ?? null };
  } catch (failure) {
    const status = failure.cause?.response?.status;
    return status ? { status, message: String(failure.cause.description) } : { failed: String(failure) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await carryOut(JSON.parse(line))));
}
