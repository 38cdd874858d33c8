<?php
// The service provider; what differs between tests comes last.
$peer = require __DIR__ . '/peer.php';
$config = [
    'default-sp' => array_merge([
        'saml:SP',
        'entityID' => $peer['entityID'],
        'idp' => $peer['idp'],
        'privatekey' => 'sp.key',
        'certificate' => 'sp.crt',
        'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
        'sign.authnrequest' => true,
        'sign.logout' => true,
        'validate.logout' => true,
        'WantAssertionsSigned' => true,
        'acs.Bindings' => ['urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST'],
        'RelayState' => $peer['url'] . '/me',
    ], $peer['options']),
    'people' => [
        'exampleauth:UserPass',
        'ana:' . $peer['password'] => [
            'urn:oid:0.9.2342.19200300.100.1.1' => ['ana'],
            'urn:oid:0.9.2342.19200300.100.1.3' => ['ana@example.org'],
        ],
    ],
];
