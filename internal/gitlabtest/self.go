package gitlabtest

import (
	"net/http"
	"time"
)

func (s *Server) getUser(x *exchange) {
	if x.user == nil {
		x.message(http.StatusUnauthorized, "401 Unauthorized")
		return
	}
	x.json(http.StatusOK, map[string]any{"id": x.user.ID, "username": x.user.Username, "state": "active"})
}

func (s *Server) getVersion(x *exchange) {
	if x.user == nil {
		x.message(http.StatusUnauthorized, "401 Unauthorized")
		return
	}
	x.json(http.StatusOK, map[string]any{"version": s.world.version, "revision": "00000000000"})
}

// getMetadata tells the version with more around it.
func (s *Server) getMetadata(x *exchange) {
	if x.signedIn() {
		x.json(http.StatusOK, map[string]any{
			"version": s.world.version, "revision": "00000000000", "enterprise": true,
			"kas": map[string]any{"enabled": true, "externalUrl": "wss://kas.example.com", "externalK8sProxyUrl": nil, "version": s.world.version},
		})
	}
}

// getOwnToken describes the access token of the request, which needs no scope for it
// (inferred).
func (s *Server) getOwnToken(x *exchange) {
	if !x.signedIn() {
		return
	}
	t := x.token
	var expiresAt any
	if !t.expiresAt.IsZero() {
		expiresAt = t.expiresAt.Format(time.DateOnly)
	}
	x.json(http.StatusOK, map[string]any{
		"id": t.id, "name": "token", "description": nil, "user_id": t.user.ID, "scopes": t.scopes, "revoked": false, "active": true,
		"created_at": stamp(t.createdAt), "last_used_at": stamp(s.Clock.Now()), "expires_at": expiresAt,
	})
}
