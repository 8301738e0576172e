//go:build linux

package proof_test

import (
	"strings"
	"testing"
)

// TestFoundingBug: a pod deployed with a job token runs; the job ends and the pod
// moves: its image cannot be pulled any more. One apply, and the pod that is stuck
// comes up by itself.
func TestFoundingBug(t *testing.T) {
	l := newLab(t)
	shop := l.newApp("acme/shop")
	s := l.newStack()
	s.access(shop)
	s.init()

	job := l.deployJob(shop)
	secrets := []string{jobSecretName, secretName} // the second is not there yet
	l.runs("first", secrets, shop)
	l.gitlab.EndJob(job)

	if err := l.pullAsKubelet(shop, secrets...); err == nil {
		t.Fatal("the image can be pulled after the job has ended")
	}
	moved := l.pod("moved", secrets, shop)
	if house.pods {
		l.must(house.cluster.CreatePod(l.ctx, moved))
		said, err := house.cluster.AwaitRefused(l.ctx, moved)
		l.must(err)
		if !strings.Contains(said, "401 Unauthorized") {
			t.Errorf("the pull failed, but not because of dead credentials:\n%s", said)
		}
	}

	s.apply()
	l.must(l.pullAsKubelet(shop, secrets...))
	if house.pods {
		l.must(house.cluster.AwaitRunning(l.ctx, moved))
	}
	l.runs("third", []string{secretName}, shop)
	s.settled()
}
