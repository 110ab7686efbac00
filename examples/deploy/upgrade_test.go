package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Whoever upgrades as the page says keeps his own values, and gets the defaults of what is new in the chart.
func TestAnUpgradeTakesWhatIsNewInTheChart(t *testing.T) {
	c := startCluster(t)
	c.must(c.real.CreateNamespace(t.Context(), namespace))
	folder := t.TempDir()
	self, err := os.Executable()
	c.must(err)
	c.must(os.Symlink(self, filepath.Join(folder, "helm")))
	c.must(os.CopyFS(filepath.Join(folder, "examples/deploy/chart"), os.DirFS("chart")))

	// The chart before it had one of its values.
	c.must(os.CopyFS(filepath.Join(folder, "older"), os.DirFS("chart")))
	for file, without := range map[string]string{"values.yaml": "drainSeconds: 5\n", "values.schema.json": `"drainSeconds", `} {
		path := filepath.Join(folder, "older", file)
		content, err := os.ReadFile(path)
		c.must(err)
		if !strings.Contains(string(content), without) {
			t.Fatalf("%s has no %s", file, without)
		}
		c.must(os.WriteFile(path, bytes.Replace(content, []byte(without), nil, 1), 0o600))
	}
	run := func(command string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", command)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "KUBECONFIG="+c.real.AdminKubeconfig, "HOME="+folder)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("$ %s\n%v\n%s", command, err, out)
		}
	}
	run("helm install secretsync older --namespace secretsync --set config.workers=7")
	page, err := os.ReadFile("README.md")
	c.must(err)
	upgrade := regexp.MustCompile(`(?m)^helm upgrade .* --set image\.tag=.*$`).Find(page)
	if upgrade == nil {
		t.Fatal("the page has no upgrade")
	}
	run(string(upgrade))
	config, err := c.real.Admin.CoreV1().ConfigMaps(namespace).Get(t.Context(), "secretsync-config", meta.GetOptions{})
	c.must(err)
	for _, want := range []string{"drain: 5s\n", "workers: 7\n"} {
		if !strings.Contains(config.Data["secretsync.yaml"], want) {
			t.Errorf("it has no %s\n%s", want, config.Data["secretsync.yaml"])
		}
	}
}

// The image that the page has pushed is the one that the chart asks for.
func TestThePagePushesTheImageThatTheChartAsksFor(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	pushed := regexp.MustCompile("`make image PUSH=([^ `]+)`").FindSubmatch(page)
	if pushed == nil {
		t.Fatal("it pushes none")
	}
	set := asYAML(t, find(t, objectsOf(t, mustRender(t, "secretsync", `image: {repository: registry.example.com/platform/secretsync}`)), "StatefulSet", "secretsync"))
	if !strings.Contains(set, "image: "+string(pushed[1])+"\n") {
		t.Errorf("the page pushes %s, and the chart has\n%s", pushed[1], regexp.MustCompile(` image: .*`).FindString(set))
	}
}
