// Command provider-on-a-clock is the provider's own main, but for its time: it
// reads the clock from the file that E2E_CLOCK names, and makes its pauses between
// requests so many times shorter as E2E_HASTE says. The provider itself takes its
// time from the machine, and nothing can tell it otherwise.
package main

import (
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

func main() {
	options := []provider.Option{provider.WithClock(now)}
	if haste, err := strconv.Atoi(os.Getenv("E2E_HASTE")); err == nil && haste > 0 {
		options = append(options, provider.WithPause(func(d time.Duration) time.Duration { return d / time.Duration(haste) }))
	}
	if err := provider.Serve(false, "clock", options...); err != nil {
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
