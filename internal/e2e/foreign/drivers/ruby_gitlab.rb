# Does with ruby-gitlab what it reads from standard input, a line of JSON for each
# operation, and answers with a line of JSON. It has no methods for deploy tokens and no
# options for the scope of a variable: these go through its own get, post, put and delete.
require 'gitlab'
require 'json'

def parent(args)
  args.key?('group') ? "/groups/#{escaped(args['group'])}" : "/projects/#{escaped(args['project'])}"
end

def escaped(value)
  Gitlab::Client.new(endpoint: 'http://localhost', private_token: '').url_encode(value.to_s)
end

def query(args)
  query = (args['query'] || {}).transform_keys(&:to_sym)
  args['paging'] == 'keyset' ? query.merge(pagination: 'keyset') : query
end

def scoped(args)
  args['scope'] ? { filter: { environment_scope: args['scope'] } } : {}
end

def variable_path(args)
  "#{parent(args)}/variables/#{escaped(args['key'])}"
end

# All pages, by the client's own iterator.
def all(response)
  response.auto_paginate.map(&:to_h)
end

OPERATIONS = {
  'version' => ->(g, _) { g.version },
  'metadata' => ->(g, _) { g.get('/metadata') },
  'whoami' => ->(g, _) { g.user },
  'own_token' => ->(g, _) { g.get('/personal_access_tokens/self') },
  'project' => ->(g, a) { g.project(a['project']) },
  'save_project' => ->(g, a) { g.edit_project(a['project'], a['attrs']) },
  'projects' => ->(g, a) { all(g.projects(query(a))) },
  'group' => ->(g, a) { g.group(a['group']) },
  'groups' => ->(g, a) { all(g.groups(query(a))) },
  'group_projects' => ->(g, a) { all(g.group_projects(a['group'], query(a))) },
  'tokens' => ->(g, a) { all(g.get("#{parent(a)}/deploy_tokens", query: query(a))) },
  'all_tokens' => ->(g, a) { all(g.get('/deploy_tokens', query: query(a))) },
  'token' => ->(g, a) { g.get("#{parent(a)}/deploy_tokens/#{a['id']}") },
  'create_token' => ->(g, a) { g.post("#{parent(a)}/deploy_tokens", body: a['attrs']) },
  'delete_token' => ->(g, a) { g.delete("#{parent(a)}/deploy_tokens/#{a['id']}") },
  'variables' => ->(g, a) { all(g.get("#{parent(a)}/variables", query: query(a))) },
  'variable' => ->(g, a) { g.get(variable_path(a), query: scoped(a)) },
  'create_variable' => lambda { |g, a|
    others = a['attrs'].reject { |name, _| %w[key value].include?(name) }.transform_keys(&:to_sym)
    g.create_variable(a['project'], a['attrs']['key'], a['attrs']['value'], **others)
  },
  'update_variable' => ->(g, a) { g.put(variable_path(a), body: a['attrs'], query: scoped(a)) },
  'delete_variable' => ->(g, a) { g.delete(variable_path(a), query: scoped(a)) },
  'environments' => ->(g, a) { all(g.environments(a['project'], query(a))) },
  'environment' => ->(g, a) { g.environment(a['project'], a['id']) },
  'stop_environment' => ->(g, a) { g.stop_environment(a['project'], a['id']) },
  'delete_environment' => ->(g, a) { g.delete_environment(a['project'], a['id']) },
  'deployments' => ->(g, a) { all(g.deployments(a['project'], query(a))) },
  'deployment' => ->(g, a) { g.deployment(a['project'], a['id']) }
}.freeze

def carry_out(request)
  client = Gitlab.client(endpoint: "#{request['url']}/api/v4", private_token: request['token'])
  value = OPERATIONS.fetch(request['op']).call(client, request['args'])
  { value: value.is_a?(Gitlab::ObjectifiedHash) ? value.to_h : value }
rescue Gitlab::Error::ResponseError => e
  { status: e.response_status, message: e.message }
rescue StandardError => e
  { failed: e.class.name + ': ' + e.message }
end

$stdout.sync = true
$stdin.each_line { |line| puts JSON.generate(carry_out(JSON.parse(line))) }
