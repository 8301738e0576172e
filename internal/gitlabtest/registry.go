package gitlabtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// JWTIssuer is the issuer that a registry must be configured with.
	JWTIssuer = "gitlab-issuer"
	// JWTService is the service that a registry must be configured with.
	JWTService = "container_registry"

	jwtKeyID = "gitlabtest"

	// Self-managed defaults of the ban: failures within a time, and its length.
	banAfter  = 30
	banWithin = 3 * time.Minute
	banLength = time.Hour
)

// Grant is one entry of a registry token.
type Grant struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// login is who asks for a registry token.
type login struct {
	deployToken *deployToken
	job         *Job
	user        *User
	scopes      []string
}

func (s *Server) jwtAuth(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, request: r}
	query := r.URL.Query()
	deny := func(status int, code, message string) {
		answer := map[string]any{"errors": []any{map[string]any{"code": code, "message": message}}}
		// The controller's own refusal does not repeat the status, the service's does.
		if status != http.StatusUnauthorized {
			answer["http_status"] = status
		}
		x.json(status, answer)
	}
	if r.Method != http.MethodGet || query.Get("service") != JWTService {
		x.text(http.StatusNotFound, "<html><body>404</body></html>")
		return
	}
	if !s.world.registryEnabled {
		deny(http.StatusNotFound, "UNAVAILABLE", "registry not enabled")
		return
	}

	username, password, basic := r.BasicAuth()
	var who *login
	if basic {
		who = s.login(username, password)
		if who == nil {
			s.countFailure(r)
			deny(http.StatusUnauthorized, "UNAUTHORIZED", "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect.")
			return
		}
		delete(s.world.failedLogins, clientAddress(r))
		// A login that has nothing to do with registries: REGISTRY_LOGIN_ABILITIES of
		// app/services/auth/container_registry_authentication_service.rb.
		if !who.usesRegistry() {
			deny(http.StatusForbidden, "DENIED", "access forbidden")
			return
		}
	}

	grants := []Grant{}
	for _, scope := range query["scope"] {
		for one := range strings.FieldsSeq(scope) {
			if grant, ok := s.grant(who, one); ok {
				grants = append(grants, grant)
			}
		}
	}
	// A login without permissions gets a token that grants nothing; nobody gets none at all.
	if len(grants) == 0 && who == nil {
		deny(http.StatusForbidden, "DENIED", "access forbidden")
		return
	}
	// Token lifetimes are in real time: the registry that checks them has no other.
	x.json(http.StatusOK, map[string]any{"token": signJWT(username, grants, time.Now())})
}

// usesRegistry says whether the login has any ability that is about the registry.
func (l *login) usesRegistry() bool {
	switch {
	case l.deployToken != nil:
		return hasAny(l.deployToken.scopes, "read_registry", "write_registry")
	case l.user != nil:
		return hasAny(l.scopes, "api", "read_registry", "write_registry")
	}
	return true
}

// login checks a pair of username and password. The username is part of a deploy
// token's credentials, to the letter.
func (s *Server) login(username, password string) *login {
	now := s.Clock.Now()
	for _, t := range s.world.tokens {
		if t.secret == password && t.active(now) && t.username == username {
			return &login{deployToken: t}
		}
	}
	for _, j := range s.world.jobs {
		if j.Token == password && j.works() && username == "gitlab-ci-token" {
			return &login{job: j}
		}
	}
	for _, t := range s.world.accessTokens {
		alive := !t.revoked && (t.expiresAt.IsZero() || now.Before(t.expiresAt)) && !t.user.Blocked
		if t.value == password && alive {
			return &login{user: t.user, scopes: t.scopes}
		}
	}
	return nil
}

// repositoryName is what GitLab takes for the name of a repository. Paths of projects can be
// others, such as "acme/a._b": nothing is granted there (container_repository_name_regex
// of lib/gitlab/regex.rb, valid? of lib/container_registry/path.rb).
var repositoryName = regexp.MustCompile(`^[a-z0-9]+(([._/]|__|-*)[a-z0-9])*$`)

// grant decides about one "repository:path:actions".
func (s *Server) grant(who *login, scope string) (Grant, bool) {
	kind, rest, _ := strings.Cut(scope, ":")
	cut := strings.LastIndex(rest, ":")
	if kind != "repository" || cut < 0 {
		return Grant{}, false
	}
	name, asked := rest[:cut], strings.Split(rest[cut+1:], ",")
	if !repositoryName.MatchString(name) {
		return Grant{}, false
	}
	p := s.projectOfRepository(name)
	if p == nil {
		return Grant{}, false
	}
	var actions []string
	for _, action := range asked {
		if action == "pull" && s.mayPull(p, who) || action == "push" && s.mayPush(p, who) {
			actions = append(actions, action)
		}
	}
	return Grant{Type: kind, Name: name, Actions: actions}, len(actions) > 0
}

// projectOfRepository: repositories live at the project's path or below it, in lower case.
func (s *Server) projectOfRepository(name string) *Project {
	for _, p := range s.world.projects {
		path := strings.ToLower(p.path)
		if name == path || strings.HasPrefix(name, path+"/") {
			return p
		}
	}
	return nil
}

func (s *Server) mayPull(p *Project, who *login) bool {
	if p.hidden || p.registryLevel == "disabled" {
		return false
	}
	open := p.registryLevel == "enabled"
	switch {
	case who == nil:
		return open && p.visibility == "public"
	case who.deployToken != nil:
		// A live token of another project pulls what everybody can pull.
		return hasAny(who.deployToken.scopes, "read_registry") && (s.reaches(who.deployToken, p) || open && p.visibility == "public")
	case who.job != nil:
		return who.job.project == p || open && p.visibility == "public"
	case !hasAny(who.scopes, "api", "read_registry"):
		return false
	case p.visibility == "private" || !open:
		return p.roleIn(who.user) >= Reporter
	default:
		return true
	}
}

func (s *Server) mayPush(p *Project, who *login) bool {
	switch {
	case who == nil || p.hidden || p.registryLevel == "disabled" || s.world.maintenance || p.isArchived():
		return false
	case who.deployToken != nil:
		return hasAny(who.deployToken.scopes, "write_registry") && s.reaches(who.deployToken, p)
	case who.job != nil:
		return who.job.project == p
	default:
		return p.roleIn(who.user) >= Developer && hasAny(who.scopes, "api", "write_registry")
	}
}

// reaches: a project's token reaches the project, a group's all that is below the group.
func (s *Server) reaches(t *deployToken, p *Project) bool {
	return t.project == p || t.group != nil && s.below(t.group, p, true)
}

// CanPull reports whether a registry client with these credentials, or without
// any, may pull from the project. It counts neither as a request nor as a login.
func (s *Server) CanPull(p *Project, username, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var who *login
	if username != "" || password != "" {
		if who = s.login(username, password); who == nil {
			return false
		}
	}
	return s.world.registryEnabled && s.mayPull(p, who)
}

func (s *Server) countFailure(r *http.Request) {
	now := s.Clock.Now()
	address := clientAddress(r)
	recent := slices.DeleteFunc(s.world.failedLogins[address], func(at time.Time) bool { return now.Sub(at) > banWithin })
	s.world.failedLogins[address] = append(recent, now)
	if len(recent)+1 >= banAfter {
		s.world.bannedUntil[address] = now.Add(banLength)
		delete(s.world.failedLogins, address)
	}
}

// FailedLogins counts the failed registry logins since the last success.
func (s *Server) FailedLogins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, failures := range s.world.failedLogins {
		n += len(failures)
	}
	return n
}

func (s *Server) banned(r *http.Request) bool {
	return s.Clock.Now().Before(s.world.bannedUntil[clientAddress(r)])
}

// signingKey is shared by all servers of a process: making one is slow.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// JWKS is the key set with which a registry checks this server's tokens.
func (s *Server) JWKS() []byte {
	public := signingKey().PublicKey
	set, _ := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": jwtKeyID,
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}})
	return set
}

func signJWT(subject string, grants []Grant, now time.Time) string {
	part := func(value any) string {
		encoded, _ := json.Marshal(value)
		return base64.RawURLEncoding.EncodeToString(encoded)
	}
	unsigned := part(map[string]any{"alg": "RS256", "typ": "JWT", "kid": jwtKeyID}) + "." + part(map[string]any{
		"iss": JWTIssuer, "aud": JWTService, "sub": subject, "jti": randomText("", 32),
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"access": grants,
	})
	digest := sha256.Sum256([]byte(unsigned))
	signature, err := rsa.SignPKCS1v15(rand.Reader, signingKey(), crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(signature)
}
