<?php
// What the test decided for this run: the JSON file that GATEHOUSE_PEER names.
return json_decode(file_get_contents(getenv('GATEHOUSE_PEER')), true, 16, JSON_THROW_ON_ERROR);
