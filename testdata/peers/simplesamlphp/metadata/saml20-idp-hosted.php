<?php
// The identity provider that SimpleSAMLphp is for tests of upstreams; what differs between them comes last.
$peer = require __DIR__ . '/../peer.php';
$metadata['__DYNAMIC:1__'] = array_merge([
    'host' => '__DEFAULT__',
    'privatekey' => 'sp.key',
    'certificate' => 'sp.crt',
    'auth' => 'people',
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'validate.authnrequest' => true,
    'sign.logout' => true,
    'validate.logout' => true,
    'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:uri',
    'authproc' => [1 => ['class' => 'saml:PersistentNameID', 'attribute' => 'urn:oid:0.9.2342.19200300.100.1.1']],
], $peer['options']);
