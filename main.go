// Command terraform-provider-autodevops serves the autodevops provider.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

// version is set by the linker.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "serve for a debugger: print what the CLI needs to attach, and wait")
	flag.Parse()

	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address: "registry.terraform.io/autodevops/autodevops",
		Debug:   *debug,
	})
	if err != nil {
		log.Fatal(err)
	}
}
