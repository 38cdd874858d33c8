<?php
// SimpleSAMLphp's configuration for a test on loopback.
$peer = require __DIR__ . '/peer.php';
$folder = $peer['folder'] . '/';
$config = [
    'baseurlpath' => $peer['url'] . '/',
    'certdir' => $folder,
    'loggingdir' => $folder,
    'datadir' => $folder,
    'tempdir' => $folder . 'temp',
    'secretsalt' => 'a test on loopback keeps no secrets',
    'auth.adminpassword' => $peer['password'],
    'technicalcontact_name' => 'Nobody',
    'technicalcontact_email' => 'nobody@example.org',
    'timezone' => 'UTC',
    'showerrors' => true,
    'logging.handler' => 'stderr',
    'logging.level' => SimpleSAML\Logger::INFO,
    // peers share the host name localhost, whose cookies know no port
    'session.cookie.name' => 'simplesamlphp_' . $peer['port'],
    'session.authtoken.cookiename' => 'simplesamlphp_token_' . $peer['port'],
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'language.default' => 'en',
    'metadata.sources' => [['type' => 'xml', 'file' => $folder . 'other.xml'], ['type' => 'flatfile', 'directory' => __DIR__ . '/metadata']],
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true],
    // logout from server to server needs sessions that can be found without their cookie
    'store.type' => 'sql',
    'store.sql.dsn' => 'sqlite:' . $folder . 'sessions.sq3',
];
