//go:build linux

package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// Pod is what the tests care about in a pod.
type Pod struct {
	Namespace, Name string
	// Images are pulled anew each time, one container for each.
	Images []string
	// Secrets with which they are pulled, by name.
	Secrets []string
}

// CreatePod creates a pod on the node, in place of one of that name.
func (c *Cluster) CreatePod(ctx context.Context, p Pod) error {
	if err := c.deletePod(ctx, p.Namespace, p.Name); err != nil {
		return err
	}
	no, grace := false, int64(1)
	spec := corev1.PodSpec{
		NodeName: nodeName, HostNetwork: true, AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace,
	}
	for _, secret := range p.Secrets {
		spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	for i, image := range p.Images {
		spec.Containers = append(spec.Containers, corev1.Container{
			Name: fmt.Sprintf("app-%d", i), Image: image, ImagePullPolicy: corev1.PullAlways,
		})
	}
	_, err := c.Client.CoreV1().Pods(p.Namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Spec: spec,
	}, metav1.CreateOptions{})
	return err
}

// AwaitRunning waits until all containers of the pod run.
func (c *Cluster) AwaitRunning(ctx context.Context, p Pod) error {
	return c.await(ctx, p, "all containers run", func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
}

// AwaitRefused waits until the kubelet gave up pulling an image of the pod for the
// time being, and returns what it said.
func (c *Cluster) AwaitRefused(ctx context.Context, p Pod) (said string, err error) {
	err = c.await(ctx, p, "ImagePullBackOff", func(s corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == "ImagePullBackOff"
	})
	if err != nil {
		return "", err
	}
	events, err := c.Client.CoreV1().Events(p.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.name": p.Name, "reason": "Failed"}.String(),
	})
	if err != nil {
		return "", err
	}
	for _, event := range events.Items {
		said += event.Message + "\n"
	}
	return said, nil
}

func (c *Cluster) await(ctx context.Context, p Pod, what string, so func(corev1.ContainerStatus) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		pod, err := c.Client.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("pod %s: waiting for %q: %w", p.Name, what, err)
		}
		n := 0
		for _, status := range pod.Status.ContainerStatuses {
			if so(status) {
				n++
			}
		}
		if n == len(p.Images) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pod %s: waiting for %q: %w; it is %s", p.Name, what, ctx.Err(), describe(pod))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func describe(pod *corev1.Pod) string {
	var text strings.Builder
	text.WriteString(string(pod.Status.Phase))
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			fmt.Fprintf(&text, ", %s waits: %s %s", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
		}
	}
	return text.String()
}

func (c *Cluster) deletePod(ctx context.Context, namespace, name string) error {
	pods := c.Client.CoreV1().Pods(namespace)
	err := pods.Delete(ctx, name, metav1.DeleteOptions{})
	for err == nil {
		if _, err = pods.Get(ctx, name, metav1.GetOptions{}); err == nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// deleteAllPods ends all pods, as far as the time allows.
func (c *Cluster) deleteAllPods(ctx context.Context) {
	pods, err := c.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, pod := range pods.Items {
		_ = c.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
	}
	for _, pod := range pods.Items {
		_ = c.deletePod(ctx, pod.Namespace, pod.Name)
	}
}
