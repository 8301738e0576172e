package gitlabtest

import (
	"slices"
	"time"
)

// Token is a deploy token as the world has it, secret included.
type Token struct {
	ID        int64
	Name      string
	Username  string
	Scopes    []string
	ExpiresAt time.Time
	Revoked   bool
	Secret    string
	// Active says whether a login with it works now.
	Active bool
}

// Tokens lists the project's deploy tokens by id.
func (s *Server) Tokens(p *Project) []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tokens []Token
	for _, t := range s.world.tokens {
		if t.project == p {
			tokens = append(tokens, s.tokenOf(t))
		}
	}
	return tokens
}

func (s *Server) tokenOf(t *deployToken) Token {
	return Token{
		ID: t.id, Name: t.name, Username: t.username, Scopes: slices.Clone(t.scopes), ExpiresAt: t.expiresAt,
		Revoked: t.revoked, Secret: t.secret, Active: t.active(s.Clock.Now()),
	}
}

// ActiveTokens lists the project's deploy tokens that work now.
func (s *Server) ActiveTokens(p *Project) []Token {
	return slices.DeleteFunc(s.Tokens(p), func(t Token) bool { return !t.Active })
}

// CreateDeployToken makes a deploy token, as somebody would in the settings page.
func (s *Server) CreateDeployToken(p *Project, name, username string, expiresAt time.Time, scopes ...string) Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.addToken(&deployToken{project: p, name: name, username: username, scopes: scopes, expiresAt: expiresAt})
	return s.tokenOf(t)
}

// CreateGroupDeployToken makes a deploy token of a group.
func (s *Server) CreateGroupDeployToken(g *Group, name, username string, expiresAt time.Time, scopes ...string) Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.addToken(&deployToken{group: g, name: name, username: username, scopes: scopes, expiresAt: expiresAt})
	return s.tokenOf(t)
}

// RevokeInSettings presses the Revoke button: the row stays and is revoked.
func (s *Server) RevokeInSettings(tokenID int64) {
	s.edit(func() {
		for _, t := range s.world.tokens {
			if t.id == tokenID {
				t.revoked = true
			}
		}
	})
}

// DeleteDeployToken removes the row, as the API does.
func (s *Server) DeleteDeployToken(tokenID int64) {
	s.edit(func() { s.removeToken(tokenID) })
}

func (s *Server) removeToken(tokenID int64) {
	s.world.tokens = slices.DeleteFunc(s.world.tokens, func(t *deployToken) bool { return t.id == tokenID })
}

// LeaveOutOfTokens removes keys from the entities of all deploy tokens, as older
// versions of GitLab do.
func (s *Server) LeaveOutOfTokens(keys ...string) {
	s.edit(func() { s.world.tokenKeysLeftOut = keys })
}

// OverrideToken puts a value of its own into the entity of one deploy token.
func (s *Server) OverrideToken(tokenID int64, key string, value any) {
	s.edit(func() {
		for _, t := range s.world.tokens {
			if t.id == tokenID {
				if t.override == nil {
					t.override = map[string]any{}
				}
				t.override[key] = value
			}
		}
	})
}
