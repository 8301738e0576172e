# Does with GitLab::API::v4 what it reads from standard input, a line of JSON for each
# operation, and answers with a line of JSON. It has no methods for deploy tokens, for
# one environment or for the scope of a variable: these go through the call that all its methods make.
# It makes undef of every 404 to a GET, so what happened is read from its last response.
use strict;
use warnings;
use GitLab::API::v4;
use JSON;

my $json = JSON->new->utf8->canonical->allow_nonref;

sub of { my ($a) = @_; return exists $a->{group} ? ( 'groups/:id', $a->{group} ) : ( 'projects/:id', $a->{project} ) }

# call sends a request of the client's own below the project or group.
sub call {
    my ( $api, $verb, $a, $below, $vars, %options ) = @_;
    my ( $path, $id ) = of($a);
    my $query = $options{query} || {};
    $query->{'filter[environment_scope]'} = $a->{scope} if defined $a->{scope};
    return $api->_call_rest_client( $verb, $path . $below, [ $id, @$vars ], { %options, %$query ? ( query => $query ) : () } );
}

sub query {
    my ($a) = @_;
    return { %{ $a->{query} || {} }, ( $a->{paging} || '' ) eq 'keyset' ? ( pagination => 'keyset' ) : () };
}

# all pages, by the client's own iterator where it has one.
sub all { my ( $api, $method, @arguments ) = @_; return $api->paginator( $method, @arguments )->all }

sub pages {
    my ( $api, $a, $below ) = @_;
    my ( @rows, $page );
    for ( $page = 1 ; $page ; $page = $api->rest_client->http_tiny_response->{headers}{'x-next-page'} ) {
        my $rows = call( $api, 'GET', $a, $below, [], query => { %{ query($a) }, page => $page } );
        return undef unless $rows;
        push @rows, @$rows;
    }
    return \@rows;
}

my %operations = (
    version  => sub { $_[0]->version },
    metadata => sub { $_[0]->_call_rest_client( 'GET', 'metadata', [], {} ) },
    whoami   => sub { $_[0]->current_user },
    own_token => sub { $_[0]->_call_rest_client( 'GET', 'personal_access_tokens/self', [], {} ) },
    project        => sub { $_[0]->project( $_[1]{project} ) },
    save_project   => sub { $_[0]->edit_project( $_[1]{project}, $_[1]{attrs} ); $_[0]->project( $_[1]{project} ) },
    projects       => sub { all( $_[0], 'projects', query( $_[1] ) ) },
    group          => sub { $_[0]->group( $_[1]{group} ) },
    groups         => sub { all( $_[0], 'groups', query( $_[1] ) ) },
    group_projects => sub { all( $_[0], 'group_projects', $_[1]{group}, query( $_[1] ) ) },
    tokens         => sub { pages( @_, '/deploy_tokens' ) },
    all_tokens => sub { $_[0]->_call_rest_client( 'GET', 'deploy_tokens', [], { query => query( $_[1] ) } ) },
    token          => sub { call( $_[0], 'GET', $_[1], '/deploy_tokens/:token', [ $_[1]{id} ] ) },
    create_token   => sub { call( $_[0], 'POST', $_[1], '/deploy_tokens', [], content => $_[1]{attrs} ) },
    delete_token   => sub { call( $_[0], 'DELETE', $_[1], '/deploy_tokens/:token', [ $_[1]{id} ] ) },
    variables      => sub { all( $_[0], 'project_variables', $_[1]{project}, query( $_[1] ) ) },
    variable        => sub { call( $_[0], 'GET', $_[1], '/variables/:key', [ $_[1]{key} ] ) },
    create_variable => sub { $_[0]->create_project_variable( $_[1]{project}, $_[1]{attrs} ) },
    update_variable => sub { call( $_[0], 'PUT', $_[1], '/variables/:key', [ $_[1]{key} ], content => $_[1]{attrs} ) },
    delete_variable    => sub { call( $_[0], 'DELETE', $_[1], '/variables/:key', [ $_[1]{key} ] ) },
    environments       => sub { all( $_[0], 'environments', $_[1]{project}, query( $_[1] ) ) },
    environment        => sub { call( $_[0], 'GET', $_[1], '/environments/:environment', [ $_[1]{id} ] ) },
    stop_environment   => sub { $_[0]->stop_environment( $_[1]{project}, $_[1]{id} ) },
    delete_environment => sub { $_[0]->delete_environment( $_[1]{project}, $_[1]{id} ) },
    deployments        => sub { all( $_[0], 'deployments', $_[1]{project}, query( $_[1] ) ) },
    deployment         => sub { $_[0]->deployment( $_[1]{project}, $_[1]{id} ) },
);

# refusal is the status and the text of the last response, if it is an error.
sub refusal {
    my ($api) = @_;
    my $last = $api->rest_client->http_tiny_response;
    return undef if !$last || $last->{status} < 400 || $last->{status} == 599;
    my $body = eval { $json->decode( $last->{content} ) } || {};
    my $message = $body->{message} // $body->{error} // $last->{content};
    return { status => $last->{status} + 0, message => ref $message ? $json->encode($message) : $message };
}

$| = 1;
while ( my $line = <STDIN> ) {
    my $request = $json->decode($line);
    my $api     = GitLab::API::v4->new( url => "$request->{url}/api/v4", $request->{token} ? ( private_token => $request->{token} ) : () );
    my $value   = eval { $operations{ $request->{op} }->( $api, $request->{args} ) };
    my $failure = $@;
    my $answer = refusal($api) || ( $failure ? { failed => "$failure" } : { value => $value } );
    print $json->encode($answer), "\n";
}
