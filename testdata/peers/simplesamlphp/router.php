<?php
// A small app with SimpleSAMLphp, for PHP's own server: /login, /me (JSON, or 401), /logout, and a public front page.
// All other addresses are SimpleSAMLphp's.
$page = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (!in_array($page, ['/', '/login', '/me', '/logout'], true)) {
    return false;
}
require $_SERVER['DOCUMENT_ROOT'] . '/../lib/_autoload.php';
$peer = require __DIR__ . '/peer.php';
$app = new SimpleSAML\Auth\Simple('default-sp');
header('Cache-Control: no-store');
if ($page === '/login') {
    $app->login(['ReturnTo' => $peer['url'] . '/me']);
} elseif ($page === '/logout') {
    $app->logout($peer['url'] . '/');
} elseif ($page === '/') {
    echo 'public page';
} elseif (!$app->isAuthenticated()) {
    http_response_code(401);
    echo 'nobody is signed in';
} else {
    $name = $app->getAuthData('saml:sp:NameID');
    header('Content-Type: application/json');
    echo json_encode([
        'nameID' => $name->getValue(),
        'nameIDFormat' => $name->getFormat(),
        'sessionIndex' => $app->getAuthData('saml:sp:SessionIndex'),
        'attributes' => $app->getAttributes(),
    ]);
}
