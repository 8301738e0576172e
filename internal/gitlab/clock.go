package gitlab

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// maxClockDifference between GitLab and this machine. Beyond it, one of the two is so
// wrong that nothing that depends on time may be decided.
const maxClockDifference = 24 * time.Hour

// clock is GitLab's time. GitLab enforces the expiry of tokens, so its clock decides:
// the machine's, moved by what the Date header of the last API answer says.
type clock struct {
	machine func() time.Time

	mu sync.Mutex
	// difference is what GitLab's clock is ahead of the machine's.
	difference time.Duration
	// heard: an answer has told GitLab's time.
	heard bool
}

// now is GitLab's time as far as it is known; the machine's before the first answer.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine().Add(c.difference)
}

// hear takes the time from an answer of the API. The header has whole seconds and the
// answer took its time, so a difference within that is none.
func (c *clock) hear(sent, received time.Time, resp *http.Response) {
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	difference := date.Sub(received)
	if difference <= 0 && date.Add(time.Second).Sub(sent) >= 0 {
		difference = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.difference, c.heard = difference, true
}

// Now is GitLab's time: the machine's clock, moved by what GitLab's last answer says.
func (c *Client) Now() time.Time { return c.clock.now() }

// HasTime reports whether GitLab has told its time to this client.
func (c *Client) HasTime() bool {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	return c.clock.heard
}

// CheckClock returns an error of KindClock while GitLab's clock and this machine's are
// more than a day apart. It makes no request.
func (c *Client) CheckClock() error {
	c.clock.mu.Lock()
	difference := c.clock.difference
	c.clock.mu.Unlock()
	if difference.Abs() <= maxClockDifference {
		return nil
	}
	machine := c.clock.machine().UTC()
	return &Error{
		Action: "compare the clocks of GitLab and of this machine", Kind: KindClock,
		Said: fmt.Sprintf("GitLab's clock says %s and this machine's clock says %s, more than a day apart",
			machine.Add(difference).Format(time.RFC3339), machine.Format(time.RFC3339)),
		Advice: "Correct the clock that is wrong, then plan again. Until then nothing that depends on time is decided, and no token is minted or revoked.",
	}
}
