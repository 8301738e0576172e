// Command terraform-provider-autodevops serves the autodevops provider.
package main

import (
	"flag"
	"log"
	"os"
	runtimedebug "runtime/debug"
	"strings"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

// version is set by the linker.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "serve for a debugger: print what the CLI needs to attach, and wait")
	flag.Parse()
	if !*debug {
		quietUnlessAsked()
	}
	if os.Getenv("GOGC") == "" {
		// A seventh less CPU in a plan of a thousand accesses, for 10 MB (make bench).
		runtimedebug.SetGCPercent(200)
	}

	if err := provider.Serve(*debug, version); err != nil {
		log.Fatal(err)
	}
}

// quietUnlessAsked switches logs off that nobody will see. A CLI that was not asked
// for logs (TF_LOG and its relatives) reads every line of a provider's only to throw
// it away, and making them takes a third of the CPU of a large plan.
func quietUnlessAsked() {
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "TF_LOG") && name != "TF_LOG_PATH" && value != "" {
			return
		}
	}
	for _, name := range []string{"TF_LOG_SDK", "TF_LOG_PROVIDER"} {
		if err := os.Setenv(name, "off"); err != nil {
			return
		}
	}
}
