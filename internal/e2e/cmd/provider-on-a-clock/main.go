// Command provider-on-a-clock is the provider's own main, but for the clock: it
// reads the time from the file that E2E_CLOCK names. The provider itself takes its
// time from the machine, and nothing can tell it otherwise.
package main

import (
	"log"
	"os"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

func main() {
	if err := provider.Serve(false, "clock", provider.WithClock(now)); err != nil {
		log.Fatal(err)
	}
}

func now() time.Time {
	text, err := os.ReadFile(os.Getenv("E2E_CLOCK")) //nolint:gosec // the tests name the file
	if err != nil {
		log.Fatal("read the clock: ", err)
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		log.Fatal("read the clock: ", err)
	}
	return at
}
