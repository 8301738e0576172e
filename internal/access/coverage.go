package access

import "time"

// Coverage says whether deploy tokens give a project the registry access that it
// needs.
type Coverage struct {
	// Token is the newest token of the name that can pull now; nil if there is none.
	Token *DeployToken
	// Unmanaged are the ids of the tokens of the name that are active, but that no
	// registry access with a generated username has minted.
	Unmanaged []int64
}

// Cover looks through the deploy tokens of a project for those of a name.
func Cover(now time.Time, projectID int64, tokens []DeployToken, name string) Coverage {
	var (
		c      Coverage
		active []DeployToken
	)
	for _, t := range tokens {
		if t.Name != name || !t.Active(now) {
			continue
		}
		active = append(active, t)
		if t.CanPull(now) && (c.Token == nil || t.ID > c.Token.ID) {
			c.Token = &t
		}
	}
	c.Unmanaged = IDs(WithoutGenerated(active, projectID))
	return c
}

// Expiring reports whether the project's access ends within that time unless
// somebody acts.
func (c Coverage) Expiring(now time.Time, within time.Duration) bool {
	return c.Token != nil && !c.Token.ExpiresAt.IsZero() && !now.Add(within).Before(c.Token.ExpiresAt)
}
