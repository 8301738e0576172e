// Command provider-on-a-clock is the provider's own main, but for the clock: it
// reads the time from the file that E2E_CLOCK names. The provider itself takes its
// time from the machine, and nothing can tell it otherwise.
package main

import (
	"context"
	"log"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

func main() {
	err := providerserver.Serve(context.Background(), provider.New("clock", provider.WithClock(now)), providerserver.ServeOpts{Address: terraform.Address})
	if err != nil {
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
