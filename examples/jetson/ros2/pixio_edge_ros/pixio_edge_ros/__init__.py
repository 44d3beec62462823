"""ROS 2 node around pixio-edge. Only `depth_node.load_ros` imports ROS; everything else is plain numpy."""
