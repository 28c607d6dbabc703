package pods

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	core "k8s.io/api/core/v1"

	"starling/deploy/test/chart"
)

// Volumes as the kubelet makes them.

// writeVolume writes files into a version of a folder and moves a link to it, so that a container sees all of the old
// ones or all of the new ones.
func writeVolume(dir string, files map[string][]byte, mode fs.FileMode, group int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	version, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return err
	}
	if err := os.Chmod(version, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		path := filepath.Join(version, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// A group of the pod can read what its volumes have.
		err := errors.Join(os.WriteFile(path, data, 0o600), os.Chown(path, 0, group), os.Chmod(path, mode|0o440))
		if err != nil {
			return err
		}
	}
	next := filepath.Join(dir, "..data_tmp")
	if err := errors.Join(os.Symlink(filepath.Base(version), next), os.Rename(next, filepath.Join(dir, "..data"))); err != nil {
		return err
	}
	top, err := os.ReadDir(version)
	if err != nil {
		return err
	}
	for _, e := range top {
		err := os.Symlink(filepath.Join("..data", e.Name()), filepath.Join(dir, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// items picks the files of a ConfigMap or a Secret that a volume wants.
func items[D string | []byte](data map[string]D, wanted []core.KeyToPath) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, item := range wanted {
		content, there := data[item.Key]
		if !there {
			return nil, fmt.Errorf("there is no key %s", item.Key)
		}
		files[item.Path] = []byte(content)
	}
	return files, nil
}

func modeOf(mode *int32) fs.FileMode {
	if mode == nil {
		return 0o644
	}
	return fs.FileMode(*mode)
}

// volume makes a volume of a pod and returns its folder.
func (c *cluster) volume(p *pod, v core.Volume) (dir string, err error) {
	dir, group := filepath.Join(p.dir, v.Name), int(*p.spec.SecurityContext.FSGroup)
	switch {
	case v.ConfigMap != nil:
		files, err := items(chart.Named[*core.ConfigMap](c.t, c.objects, v.ConfigMap.Name).Data, v.ConfigMap.Items)
		if err != nil {
			return "", err
		}
		return dir, writeVolume(dir, files, modeOf(v.ConfigMap.DefaultMode), group)
	case v.Secret != nil:
		return dir, c.secretVolume(dir, v.Secret, group)
	case v.EmptyDir != nil:
		return dir, sharedFolder(dir, group)
	}
	return "", fmt.Errorf("volume %s: no test has one like it", v.Name)
}

func (c *cluster) secretVolume(dir string, s *core.SecretVolumeSource, group int) error {
	files, err := items(c.secrets[s.SecretName], s.Items)
	if err != nil {
		return fmt.Errorf("Secret %s: %w", s.SecretName, err)
	}
	return writeVolume(dir, files, modeOf(s.DefaultMode), group)
}

// sharedFolder is one that the group of a pod can write.
func sharedFolder(dir string, group int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(os.Chown(dir, 0, group), os.Chmod(dir, 0o775|fs.ModeSetgid))
}

// claim is the folder of a volume that outlives its pod.
func (c *cluster) claim(p *pod, name string) (dir string, err error) {
	dir = filepath.Join(c.dir, "claims", name+"-"+p.name)
	return dir, sharedFolder(dir, int(*p.spec.SecurityContext.FSGroup))
}

// updateSecret replaces a Secret, and what the volumes of running pods have of it.
func (c *cluster) updateSecret(name string, data map[string][]byte) {
	c.t.Helper()
	c.secrets[name] = data
	for _, p := range c.pods {
		for _, v := range p.spec.Volumes {
			if v.Secret == nil || v.Secret.SecretName != name {
				continue
			}
			if err := c.secretVolume(filepath.Join(p.dir, v.Name), v.Secret, int(*p.spec.SecurityContext.FSGroup)); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}
