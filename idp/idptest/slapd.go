package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Slapd is OpenLDAP's server on 127.0.0.1 with a folder of its own, a certificate of a test authority, people under ou=people and
// groups under ou=groups of dc=example,dc=org.
type Slapd struct {
	LDAPS, LDAP string // addresses: TLS from the start, and plain or StartTLS
	CA          string // PEM
	dir         string
	running     *process
}

// What a Slapd is entered with.
const (
	SlapdAdmin    = "cn=admin,dc=example,dc=org"
	SlapdPassword = "bind-secret"
	SlapdBase     = "dc=example,dc=org"
)

const slapdConfig = `include %[1]s/etc/ldap/schema/core.schema
include %[1]s/etc/ldap/schema/cosine.schema
include %[1]s/etc/ldap/schema/nis.schema
include %[1]s/etc/ldap/schema/inetorgperson.schema
modulepath %[1]s/usr/lib/ldap
moduleload back_mdb
pidfile %[2]s/slapd.pid
argsfile %[2]s/slapd.args
TLSCACertificateFile %[2]s/ca.pem
TLSCertificateFile %[2]s/cert.pem
TLSCertificateKeyFile %[2]s/key.pem
sizelimit unlimited
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw bind-secret
directory %[2]s/data
maxsize 2147483648
envflags nosync
index objectClass,uid,mail,entryUUID,member eq
`

// StartSlapd runs a server until the test ends.
func StartSlapd(t testing.TB) *Slapd {
	t.Helper()
	Need(t, ToolSlapd)
	s := &Slapd{dir: t.TempDir(), LDAPS: "ldaps://" + loopback(freePort(t)), LDAP: "ldap://" + loopback(freePort(t))}
	ca, leaf := NewAuthority(t, net.IPv4(127, 0, 0, 1))
	s.CA = string(ca)
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, s.dir, 0o600, map[string][]byte{
		"slapd.conf": fmt.Appendf(nil, slapdConfig, unpackFolder(), s.dir), "ca.pem": ca,
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	})
	if err := os.Mkdir(filepath.Join(s.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Run(t)
	s.Do(t, func(c *ldap.Conn) error {
		root := ldap.NewAddRequest(SlapdBase, nil)
		root.Attribute("objectClass", []string{"dcObject", "organization"})
		root.Attribute("dc", []string{"example"})
		root.Attribute("o", []string{"Example"})
		if err := c.Add(root); err != nil {
			return err
		}
		for _, name := range []string{"people", "groups"} {
			unit := ldap.NewAddRequest("ou="+name+","+SlapdBase, nil)
			unit.Attribute("objectClass", []string{"organizationalUnit"})
			if err := c.Add(unit); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

// NewAuthority makes a certificate authority and a certificate of it for an address and localhost.
func NewAuthority(t testing.TB, address net.IP) (ca []byte, leaf tls.Certificate) {
	t.Helper()
	make := func(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parentKey == nil {
			parentKey = key
		}
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, rootKey := make(root, root, nil)
	parent, err := x509.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	server := &x509.Certificate{Subject: pkix.Name{CommonName: "ldap"}, IPAddresses: []net.IP{address}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, key := make(server, parent, rootKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Run starts the server, again after Kill.
func (s *Slapd) Run(t testing.TB) {
	t.Helper()
	cmd := exec.Command(filepath.Join(unpackFolder(), "usr/sbin/slapd"), "-d", "none", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", s.LDAPS+" "+s.LDAP)
	libraries, err := filepath.Glob(filepath.Join(unpackFolder(), "usr/lib/*-linux-gnu*"))
	if err != nil || len(libraries) == 0 {
		t.Fatalf("libraries of slapd: %v", err)
	}
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries[0])
	s.running = startProcess(t, cmd)
	for deadline := time.Now().Add(peerStart); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		c, err := ldap.DialURL(s.LDAP)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-s.running.done:
			t.Fatalf("slapd ended at start:\n%s", s.running.output())
		default:
		}
	}
	t.Fatalf("slapd does not answer:\n%s", s.running.output())
}

// Kill ends the server as a power cut would.
func (s *Slapd) Kill() {
	syscall.Kill(-s.running.cmd.Process.Pid, syscall.SIGKILL)
	<-s.running.done
}

// Do runs fn as the directory's administrator.
func (s *Slapd) Do(t testing.TB, fn func(*ldap.Conn) error) {
	t.Helper()
	c, err := ldap.DialURL(s.LDAP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err = c.Bind(SlapdAdmin, SlapdPassword); err == nil {
		err = fn(c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// DN is where a person is.
func (s *Slapd) DN(uid string) string { return "uid=" + uid + ",ou=people," + SlapdBase }

// AddPerson adds a person with a password and an address at example.org.
func (s *Slapd) AddPerson(t testing.TB, uid, password string) {
	t.Helper()
	s.Do(t, func(c *ldap.Conn) error { return c.Add(s.person(uid, password)) })
}

func (s *Slapd) person(uid, password string) *ldap.AddRequest {
	person := ldap.NewAddRequest(s.DN(uid), nil)
	person.Attribute("objectClass", []string{"inetOrgPerson"})
	person.Attribute("cn", []string{uid + " Example"})
	person.Attribute("sn", []string{"Example"})
	person.Attribute("givenName", []string{uid})
	person.Attribute("displayName", []string{uid + " of Example"})
	person.Attribute("mail", []string{uid + "@example.org"})
	person.Attribute("departmentNumber", []string{"7"})
	if password != "" {
		person.Attribute("userPassword", []string{password})
	}
	return person
}

// SetGroup makes a group have these people and no others.
func (s *Slapd) SetGroup(t testing.TB, name string, uids ...string) {
	t.Helper()
	dn := "cn=" + name + ",ou=groups," + SlapdBase
	s.Do(t, func(c *ldap.Conn) error {
		if err := c.Del(ldap.NewDelRequest(dn, nil)); err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return err
		}
		if len(uids) == 0 {
			return nil
		}
		group := ldap.NewAddRequest(dn, nil)
		group.Attribute("objectClass", []string{"groupOfNames"})
		var members []string
		for _, uid := range uids {
			members = append(members, s.DN(uid))
		}
		group.Attribute("member", members)
		return c.Add(group)
	})
}

// Remove removes a person.
func (s *Slapd) Remove(t testing.TB, uid string) {
	t.Helper()
	s.Do(t, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(s.DN(uid), nil)) })
}

// Rename gives a person another user name; the entry stays the same one.
func (s *Slapd) Rename(t testing.TB, from, to string) {
	t.Helper()
	s.Do(t, func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest(s.DN(from), "uid="+to, true, "")) })
}

// Set changes one attribute of a person.
func (s *Slapd) Set(t testing.TB, uid, attribute string, values ...string) {
	t.Helper()
	s.Do(t, func(c *ldap.Conn) error {
		change := ldap.NewModifyRequest(s.DN(uid), nil)
		change.Replace(attribute, values)
		return c.Modify(change)
	})
}
