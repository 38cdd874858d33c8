package idptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Tool is a program that some tests need and that Go does not bring.
type Tool string

// The tools, and what they are for.
const (
	ToolChromium    Tool = "chromium"         // browser tests
	ToolMellon      Tool = "mellon"           // Apache with mod_auth_mellon as a service provider
	ToolAuthOpenIDC Tool = "mod_auth_openidc" // Apache with mod_auth_openidc as a relying party
	ToolNode        Tool = "node"             // node-saml as a service provider, openid-client as a relying party
	ToolPySAML      Tool = "pysaml2"          // pysaml2 as a service provider
	ToolSimpleSAML  Tool = "simplesamlphp"    // SimpleSAMLphp as a service provider
	ToolXMLSec      Tool = "xmlsec1"          // signatures and decryption by a second implementation
	ToolSMTP        Tool = "aiosmtpd"         // a mail server
	ToolSlapd       Tool = "slapd"            // OpenLDAP's server as a directory source
	ToolNginx       Tool = "nginx"            // a reverse proxy in front of the server
	ToolSchemas     Tool = "schemas"          // OASIS and W3C schemas, and xmllint to apply them
)

const (
	installTimeout = 8 * time.Minute
	installRetry   = 15 * time.Minute // a failed installation is not tried again by each test of a run
	apacheBinary   = "/usr/sbin/apache2"
	apacheModules  = "/usr/lib/apache2/modules"
	schemaFolder   = "/usr/share/xml"
	debianPython   = "/usr/bin/python3" // the one that Debian's packages are for
	phpExtensions  = "/etc/php/*/cli/conf.d/*-"
)

// Tools lists them all.
func Tools() []Tool {
	return []Tool{ToolChromium, ToolMellon, ToolAuthOpenIDC, ToolNode, ToolPySAML, ToolSimpleSAML, ToolXMLSec, ToolSMTP, ToolSlapd, ToolNginx, ToolSchemas}
}

// provision says how to see that a tool is there, and which Debian packages bring it. apache2-bin has the server
// without the service, so nothing is started by installing it. What would bring a service along is unpacked in our cache.
type provision struct {
	files    []string // absolute, where * stands for versions, or the name of a program
	packages []string
	unpacked []string
}

func (tool Tool) provision() provision {
	switch tool {
	case ToolChromium:
		return provision{files: []string{"chromium"}, packages: []string{"chromium", "fonts-liberation"}}
	case ToolMellon:
		return provision{files: []string{apacheBinary, apacheModules + "/mod_auth_mellon.so"}, packages: []string{"apache2-bin", "libapache2-mod-auth-mellon"}}
	case ToolAuthOpenIDC:
		return provision{files: []string{apacheBinary, apacheModules + "/mod_auth_openidc.so"}, packages: []string{"apache2-bin", "libapache2-mod-auth-openidc"}}
	case ToolNode:
		return provision{files: []string{"node", "npm"}, packages: []string{"nodejs", "npm"}}
	case ToolPySAML:
		return provision{files: []string{debianPython, "/usr/lib/python3/dist-packages/saml2/client.py", "xmlsec1"}, packages: []string{"python3-pysaml2", "xmlsec1"}}
	case ToolSimpleSAML:
		return provision{
			files:    []string{"php", phpExtensions + "dom.ini", phpExtensions + "mbstring.ini", phpExtensions + "pdo_sqlite.ini", simpleSAMLFolder() + "/lib/_autoload.php"},
			packages: []string{"php-cli", "php-mbstring", "php-sqlite3", "php-xml"},
			unpacked: []string{"simplesamlphp"},
		}
	case ToolSMTP:
		return provision{files: []string{debianPython, "/usr/lib/python3/dist-packages/aiosmtpd/controller.py"}, packages: []string{"python3-aiosmtpd"}}
	case ToolXMLSec:
		return provision{files: []string{"xmlsec1"}, packages: []string{"xmlsec1"}}
	case ToolSlapd: // unpacked only: its package would start a service
		return provision{files: []string{"ldapadd", unpackFolder() + "/usr/sbin/slapd", unpackFolder() + "/usr/lib/ldap/back_mdb.so", unpackFolder() + "/etc/ldap/schema/core.schema"}, packages: []string{"ldap-utils", "libltdl7", "libwrap0"}, unpacked: []string{"slapd"}}
	case ToolNginx: // unpacked only, as slapd
		return provision{files: []string{nginxBinary()}, packages: []string{"libpcre2-8-0"}, unpacked: []string{"nginx"}}
	case ToolSchemas:
		return provision{
			files:    []string{"xmllint", schemaFolder + "/opensaml/saml-schema-protocol-2.0.xsd", schemaFolder + "/xmltooling/xenc-schema.xsd"},
			packages: []string{"libxml2-utils", "opensaml-schemas", "xmltooling-schemas"},
		}
	}
	return provision{files: []string{string(tool)}}
}

// missing returns the first of the tool's files that is not there, or "".
func (tool Tool) missing() string {
	for _, file := range tool.provision().files {
		if _, err := exec.LookPath(file); err == nil {
			continue
		}
		if found, _ := filepath.Glob(file); filepath.IsAbs(file) && len(found) > 0 {
			continue
		}
		return file
	}
	return ""
}

// Need makes sure that tools are there. As root on Debian it installs what is missing, once for all test processes;
// elsewhere, or when that fails, the test is left out. Under CI (the variable CI is true) it fails instead.
func Need(t testing.TB, tools ...Tool) {
	t.Helper()
	var absent []Tool
	for _, tool := range tools {
		if tool.missing() != "" {
			absent = append(absent, tool)
		}
	}
	if len(absent) == 0 {
		return
	}
	if err := install(absent); err != nil {
		leaveOut(t, fmt.Sprintf("%s: %v", join(absent), err))
	}
}

// leaveOut ends the test: a failure under CI, a visible skip elsewhere. `make test` shows at its end what was noted in the
// file that LEFT_OUT names, because go test does not show why it skipped.
func leaveOut(t testing.TB, why string) {
	t.Helper()
	note := fmt.Sprintf("LEFT OUT: %s needs %s", t.Name(), why)
	if os.Getenv("CI") == "true" {
		t.Fatal(note)
	}
	if file, err := os.OpenFile(os.Getenv("LEFT_OUT"), os.O_APPEND|os.O_WRONLY, 0); err == nil {
		fmt.Fprintln(file, note)
		file.Close()
	}
	t.Skip(note)
}

// install brings the packages of tools under a lock that all test processes of this machine share.
func install(tools []Tool) error {
	var packages, unpacked []string
	for _, tool := range tools {
		packages = append(packages, tool.provision().packages...)
		unpacked = append(unpacked, tool.provision().unpacked...)
	}
	hint := "install with: apt-get install " + strings.Join(packages, " ")
	if len(unpacked) > 0 {
		hint += "; and unpack into " + unpackFolder() + ": " + strings.Join(unpacked, " ")
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("not installed, and installing takes root on Debian; %s", hint)
	}
	unlock, err := lock("apt")
	if err != nil {
		return err
	}
	defer unlock()
	for _, tool := range tools {
		if tool.missing() != "" { // another process may have installed it meanwhile
			return aptInstall(packages, unpacked, hint)
		}
	}
	return nil
}

// aptInstall runs apt-get. A failure is remembered, so that a machine without network does not try for each test.
func aptInstall(packages, unpacked []string, hint string) error {
	failed := filepath.Join(cacheFolder(), "apt-failed-"+strings.Join(append(packages, unpacked...), "-"))
	if info, err := os.Stat(failed); err == nil && time.Since(info.ModTime()) < installRetry {
		return fmt.Errorf("not installed, and apt-get failed a short while ago; %s", hint)
	}
	err := aptGet("update", "-q")
	if err == nil {
		err = aptGet(append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)...)
	}
	for _, name := range unpacked {
		if err == nil {
			err = aptUnpack(name)
		}
	}
	if err != nil {
		os.WriteFile(failed, []byte(err.Error()), 0o600)
		return fmt.Errorf("%w; %s", err, hint)
	}
	return nil
}

func aptGet(args ...string) error {
	cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := runFor(cmd, installTimeout); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLines(out, 3))
	}
	return nil
}

// aptUnpack fetches a package and unpacks it, which runs nothing of it and brings none of what it depends on.
func aptUnpack(name string) error {
	folder, err := os.MkdirTemp("", "gatehouse-apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	download := exec.Command("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name)
	download.Dir = folder
	if out, err := runFor(download, installTimeout); err != nil {
		return fmt.Errorf("apt-get download: %w: %s", err, lastLines(out, 3))
	}
	archives, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("apt-get download %s: %d files: %v", name, len(archives), err)
	}
	if out, err := runFor(exec.Command("dpkg-deb", "--extract", archives[0], unpackFolder()), installTimeout); err != nil {
		return fmt.Errorf("dpkg-deb: %w: %s", err, lastLines(out, 3))
	}
	return nil
}

// unpackFolder is where the packages are that are not installed but unpacked.
func unpackFolder() string { return filepath.Join(cacheFolder(), "debian") }

// runFor runs a command and its children for at most limit and returns all it printed.
func runFor(cmd *exec.Cmd, limit time.Duration) (string, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(limit, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	err := cmd.Wait()
	return out.String(), err
}

// cacheFolder is where installed npm packages and locks live, outside of the repository.
func cacheFolder() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "gatehouse-test")
}

// lock takes the named lock between test processes.
func lock(name string) (unlock func(), err error) {
	if err := os.MkdirAll(cacheFolder(), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(cacheFolder(), name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

func join(tools []Tool) string {
	var names []string
	for _, tool := range tools {
		names = append(names, string(tool))
	}
	return strings.Join(names, ", ")
}

// lastLines returns the end of what a program printed.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
