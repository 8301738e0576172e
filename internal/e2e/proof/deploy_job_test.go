//go:build linux

package proof_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// deployment is an environment that Auto DevOps deploys into the lab's namespace.
type deployment struct {
	*lab

	app         app
	environment string

	mu sync.Mutex
	// writing are the moments in which a job had kubectl replace the Secret.
	writing []span
	jobs    int
}

type span struct{ from, to time.Time }

func (l *lab) newDeployment(a app) *deployment {
	return &deployment{lab: l, app: a, environment: "production"}
}

// secretName is the Secret's name in Auto DevOps: with the project's path as a slug.
func (d *deployment) secretName() string {
	return "gitlab-registry-" + strings.ReplaceAll(d.app.path, "/", "-")
}

// take lets a runner take a deploy job, which gets its variables in that moment.
func (d *deployment) take() *gitlabtest.Job {
	d.Helper()
	job := d.gitlab.QueueJob(d.app.Project, gitlabtest.JobOptions{Name: d.environment, Environment: d.environment})
	d.gitlab.PickUp(job)
	return job
}

// deploy runs a whole deploy job, some minutes after whatever was before.
func (d *deployment) deploy() {
	d.Helper()
	d.pass(5 * time.Minute)
	job := d.take()
	d.createSecret(job)
	d.must(d.pullAsKubelet(d.app, d.secretName()))
	d.pass(time.Minute)
	d.gitlab.FinishJob(job, "success")
}

// createSecret is the step of that name: a Secret for the registry, made of the job's
// variables, takes the place of the one in the cluster. User and password each fall back to
// the job's own. For a public project without a password there is nothing to do.
func (d *deployment) createSecret(job *gitlabtest.Job) {
	d.Helper()
	v := job.Variables
	if v["CI_PROJECT_VISIBILITY"] == "public" && v["CI_DEPLOY_PASSWORD"] == "" {
		return
	}
	manifest := d.kubectl(nil, "create", "secret", "docker-registry", d.secretName(), "--dry-run=client", "--output=yaml",
		"--docker-server="+v["CI_REGISTRY"], "--docker-email=somebody@example.com",
		"--docker-username="+cmp.Or(v["CI_DEPLOY_USER"], v["CI_REGISTRY_USER"]),
		"--docker-password="+cmp.Or(v["CI_DEPLOY_PASSWORD"], v["CI_REGISTRY_PASSWORD"]))
	begun := time.Now()
	d.kubectl(manifest, "replace", "--force", "--filename=-")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writing = append(d.writing, span{begun, time.Now()})
	d.jobs++
}

// kubectl runs the real one in the lab's namespace.
func (d *deployment) kubectl(stdin []byte, args ...string) []byte {
	d.Helper()
	args = append([]string{
		"--server=" + house.cluster.URL, "--certificate-authority=" + house.cluster.CAFile, "--token=" + house.cluster.AdminToken,
		"--namespace=" + d.namespace, "--cache-dir=" + house.kubectlCache,
	}, args...)
	cmd := exec.CommandContext(d.ctx, house.kubectl, args...)
	cmd.Env = []string{"KUBECONFIG=/dev/null", "HOME=" + house.kubectlCache}
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		d.Fatalf("kubectl: %v\n%s", err, failed.Stderr)
	}
	d.must(err)
	return out
}

// replacing reports whether a job had the Secret replaced at that time: kubectl deletes it
// and makes it again, so for a moment there is none.
func (d *deployment) replacing(at time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.writing {
		if !at.Before(s.from) && !at.After(s.to) {
			return true
		}
	}
	return false
}

// podPulls are the pulls of pods that use one Secret.
type podPulls struct {
	// good ones; those that found no Secret; those whose Secret was changed while they pulled. The
	// kubelet tries again in the last two cases, with the Secret as it is then.
	good, withoutSecret, overtaken []time.Time
	// failed is everything else.
	failed []time.Time
	first  error
}

func (p podPulls) String() string {
	return fmt.Sprintf("%d good pulls, %d found no Secret, %d were overtaken by a change of the Secret, %d failed",
		len(p.good), len(p.withoutSecret), len(p.overtaken), len(p.failed))
}

// pullWith starts pulling the app's image with what the Secret holds, over and over.
func (l *lab) pullWith(a app, name string) (stop func() podPulls) {
	var result podPulls
	ended, end := make(chan struct{}), make(chan struct{})
	pull := func() {
		begun, secret := time.Now(), l.secret(name)
		chosen, err := house.cluster.Choose(a.repository, secret)
		l.check(err)
		var username, password string
		if len(chosen) > 0 {
			username, password = chosen[0].Username, chosen[0].Password
		}
		err = l.registry.Pull(l.ctx, a.image, username, password)
		switch {
		case err == nil:
			result.good = append(result.good, begun)
		case len(secret.Data) == 0:
			result.withoutSecret = append(result.withoutSecret, begun)
		case l.secret(name).ResourceVersion != secret.ResourceVersion:
			result.overtaken = append(result.overtaken, begun)
		default:
			result.failed = append(result.failed, begun)
			result.first = cmp.Or(result.first, err)
		}
	}
	go func() {
		defer close(ended)
		for l.ctx.Err() == nil {
			pull()
			select {
			case <-end:
				return
			case <-time.After(pullEvery):
			}
		}
	}()
	stop = sync.OnceValue(func() podPulls {
		close(end)
		<-ended
		return result
	})
	l.Cleanup(func() { stop() })
	return stop
}

// check reports an error, from whatever goroutine.
func (l *lab) check(err error) {
	l.Helper()
	if err != nil && l.ctx.Err() == nil {
		l.Error(err)
	}
}

// expectAllGood asserts every count: pulls went well at all times, and found no Secret only
// while a job replaced it.
func (d *deployment) expectAllGood(p podPulls) {
	d.Helper()
	d.Logf("%d deploy jobs: %s", d.jobs, p)
	if len(p.failed) > 0 || len(p.good) == 0 {
		d.Errorf("%s; the first failed with: %v", p, p.first)
	}
	for _, at := range p.withoutSecret {
		if !d.replacing(at) {
			d.Errorf("a pull found no Secret, while no job replaced it")
		}
	}
	if len(p.overtaken) > d.jobs {
		d.Errorf("%d pulls were overtaken by %d jobs", len(p.overtaken), d.jobs)
	}
}
